// The part of the configuration that names network applications (src/apps/contract.ts): which module, on
// which processors, what it may use, and its own options, which are passed through. What one says about
// another is in application-checks.ts.

import { z } from 'zod';
import { BUILTIN_APPLICATIONS } from '../../base/application-plan.ts';
import { MAX_APPLICATIONS } from '../../memory/layout.ts';
import { durationMs, filePath, hostAddress, IPV4, name, PREFIX, port } from './schema-values.ts';

const PORT_RANGE = /^([0-9]{1,5})-([0-9]{1,5})$/;
const DESTINATION = new RegExp(`^${IPV4}(${PREFIX})?$`);

export const applicationMatchShape = {
  protocol: z.enum(['udp', 'tcp', 'icmp']).optional().describe('The protocol; default: any.'),
  address: z
    .string()
    .regex(DESTINATION, { error: 'an address or a network is expected, such as 10.1.0.0/24' })
    .optional()
    .describe('The destination, or the network that it is in; default: any.'),
  port: z
    .union([port, z.string().regex(PORT_RANGE)], {
      error: 'a port from 1 to 65535 or a range such as 1000-2000 is expected',
    })
    .optional()
    .describe('The destination port, or a range of them; default: any.'),
  service: z.string().optional().describe("A service's address, port and protocol instead."),
};

export const applicationShape = {
  name: name.describe('Name of the application, unique.'),
  module: filePath.describe(
    `A JavaScript module, or one that is part of weir: ${BUILTIN_APPLICATIONS.join(', ')}.`,
  ),
  processors: z
    .enum(['all', 'one'])
    .default('all')
    .describe('On which switching processors it runs; one: the first.'),
  addresses: z
    .array(hostAddress('10.1.0.53'))
    .default([])
    .describe('Addresses of its own, which weir answers ARP and ping for.'),
  match: z
    .array(z.strictObject(applicationMatchShape))
    .default([])
    .describe('Which packets it sees, in place of what the module says.'),
  services: z
    .array(z.string())
    .default([])
    .describe('Services that it matches by name or whose backends it asks for.'),
  budget: durationMs(1, 1000, '5ms')
    .prefault('5ms')
    .describe('CPU time that it may take for the packets of one burst.'),
  failures: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(100)
    .describe('So many failures within ten seconds switch it off.'),
  frames: z
    .int()
    .min(1)
    .max(4096)
    .default(64)
    .describe('Most frames that it may have in hand on one processor.'),
  'when-off': z
    .enum(['pass', 'drop'])
    .default('pass')
    .describe('What becomes of its packets when it is switched off; drop needs match.'),
  options: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('What the application itself is told.'),
};

export const applicationsSchema = z
  .array(z.strictObject(applicationShape))
  .max(MAX_APPLICATIONS)
  .default([])
  .describe('Network applications that run on the switching processors.');

/** The port, or the first and the last of a range, as packets are compared. */
export function portRange(written: number | string): number | [number, number] {
  if (typeof written === 'number') return written;
  const [, first, last] = PORT_RANGE.exec(written) ?? [];
  return [Number(first), Number(last)];
}
