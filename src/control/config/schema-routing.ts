// The schema of everything about routes: those that the file names, and those that are taken from the kernel.
// What one of these values says about another is in network-checks.ts; what becomes of them, in
// control/compile-routes.ts.

import { z } from 'zod';
import { hostAddress, network } from './schema-values.ts';

const PORTS = /^[0-9]{1,5}-[0-9]{1,5}$/;

const METRIC_MAX = 0xffff_ffff;

export const routeShape = {
  to: network('default').describe('The network, or default.'),
  via: hostAddress('10.1.0.254').optional().describe('The next router, on a connected network.'),
  interface: z.string().optional().describe('The interface, for a network without a router.'),
  type: z
    .enum(['blackhole', 'unreachable', 'prohibit'])
    .optional()
    .describe('Instead of a way: packets vanish, or are refused with this word.'),
  metric: z
    .int()
    .min(0)
    .max(METRIC_MAX)
    .default(0)
    .describe("Against the kernel's route to the same network: the lower wins, this one if equal."),
};

export const TABLE_MAIN = 254;

export const routingShape = {
  follow: z
    .boolean()
    .default(false)
    .describe("Take the kernel's routes whose gateway is on a network of our interfaces."),
  table: z
    .int()
    .min(1)
    .max(0xffff_ffff)
    .default(TABLE_MAIN)
    .describe("Number of the kernel's table; 254 is main."),
};

export const forwardingShape = {
  from: z.string().describe('Interface on which packets come in that no service claims.'),
  to: z.string().describe('Interface on which they may leave, if the routes say so.'),
  source: hostAddress('10.1.0.1')
    .optional()
    .describe(
      'Address of ours that their source is translated to; without it nothing is translated.',
    ),
  'source-ports': z
    .string()
    .regex(PORTS, { error: 'a range of ports is expected, such as 1024-65535' })
    .default('1024-65535')
    .describe('Ports that translated sources are given.'),
};
