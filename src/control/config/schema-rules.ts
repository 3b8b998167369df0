// The schema of choice by content (C6 of the seeds): rules of a service that give a connection to some of its
// backends by what its first packet says. switching/match-rules.ts looks at the packet.
// What one of these values says about another is in service-checks.ts.

import { z } from 'zod';
import { name, network } from './schema-values.ts';

const hex = z.string().regex(/^([0-9a-fA-F]{2}){1,16}$/, {
  error: 'hexadecimal digits are expected, two for each byte, at most 16 bytes',
});

export const payloadShape = {
  offset: z.int().min(0).max(1400).default(0).describe("Where in the datagram's payload."),
  value: hex.describe('Bytes in hexadecimal digits.'),
  mask: hex.optional().describe('Bits that count; default all.'),
};

export const ruleShape = {
  name: name.describe('Name of the rule, unique in its service.'),
  clients: z
    .array(network('10.9.0.0/16'))
    .min(1)
    .optional()
    .describe('Networks that the client is in one of.'),
  'client-ports': z
    .union(
      [
        z.string().regex(/^[0-9]{1,5}(-[0-9]{1,5})?$/, {
          error: 'a port or a range of ports is expected, such as 1024-2047',
        }),
        z.int(),
      ],
      { error: 'a port or a range of ports is expected, such as 1024-2047' },
    )
    .transform(String)
    .optional()
    .describe("The client's port, or a range."),
  dscp: z
    .array(z.int().min(0).max(63))
    .min(1)
    .optional()
    .describe('Values of the differentiated services code point.'),
  vlan: z.int().min(1).max(4094).optional().describe('The VLAN that the packet came in.'),
  payload: z
    .strictObject(payloadShape)
    .optional()
    .describe("udp: bytes of the first datagram's payload."),
  requires: z
    .array(name)
    .min(1)
    .optional()
    .describe('Only backends that have all these labels take the connection.'),
  backend: name.optional().describe('Only this backend takes the connection.'),
  otherwise: z
    .enum(['refuse', 'any'])
    .default('refuse')
    .describe('When none of them can: refuse the connection, or let any backend take it.'),
};

export type RuleConfiguration = z.output<z.ZodObject<typeof ruleShape>>;
