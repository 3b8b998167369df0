// The schema of what a service says about the health of its backends: active checks, what the data plane
// observes, and what becomes of connections to a dead one. src/health does it; health-checks.ts says which
// keys belong to which type of check.

import { z } from 'zod';
import { DNS_RECORDS } from '../../health/settings.ts';
import { hostAddress, port, durationMs as time } from './schema-values.ts';

const text = z.string().min(1).max(1024);
const hex = z.string().regex(/^([0-9a-fA-F]{2}){1,512}$/, {
  error: 'hexadecimal digits are expected, two for each byte, at most 512 bytes',
});

/** Keys of every type of check. */
export const COMMON_HEALTH_KEYS = [
  'type',
  'port',
  'interval',
  'fast-interval',
  'timeout',
  'jitter',
  'rise',
  'fall',
  'hold',
  'hold-max',
] as const;

export const healthShape = {
  type: z
    .enum(['tcp', 'http', 'https', 'dns', 'udp', 'grpc', 'script'])
    .default('tcp')
    .describe('What is tried.'),
  port: port.optional().describe("Port that is asked; default the backend's."),
  interval: time(100, 3_600_000).prefault('2s').describe('Time from one check to the next.'),
  'fast-interval': time(50, 3_600_000)
    .prefault('500ms')
    .describe('The same while its state is about to change.'),
  timeout: time(50, 600_000).prefault('1s').describe('A check that takes longer has failed.'),
  jitter: z.int().min(0).max(50).default(10).describe('Random part of the interval, in percent.'),
  rise: z.int().min(1).max(100).default(2).describe('Successes after which it is up again.'),
  fall: z.int().min(1).max(100).default(3).describe('Failures after which it is down.'),
  hold: time(0, 3_600_000)
    .prefault('5s')
    .describe(
      'When it has come up and soon goes down again: shortest time down; doubles each time.',
    ),
  'hold-max': time(0, 86_400_000).prefault('5m').describe('Longest time that hold grows to.'),
  method: z.enum(['GET', 'HEAD', 'OPTIONS']).optional().describe('http: the method; default GET.'),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, { error: 'a path begins with / and has no spaces' })
    .max(1024)
    .optional()
    .describe('http: the path; default /.'),
  host: text.optional().describe('http: the Host header; default the address.'),
  status: z
    .string()
    .regex(/^[1-5][0-9]{2}(-[1-5][0-9]{2})?(,[1-5][0-9]{2}(-[1-5][0-9]{2})?)*$/, {
      error: 'status codes are expected, such as 200-299,304',
    })
    .optional()
    .describe('http: status codes that are good; default 200-399.'),
  body: text.optional().describe('http: a text that the body has, or /a regular expression/.'),
  'server-name': text.optional().describe('https: the name asked for (SNI).'),
  verify: z.boolean().optional().describe('https: whether the certificate must be valid.'),
  query: z.string().min(1).max(253).optional().describe('dns: the name asked for.'),
  record: z.enum(DNS_RECORDS).optional().describe('dns: the type of record; default A.'),
  'expect-address': hostAddress('192.0.2.1').optional().describe('dns: an address in the answer.'),
  send: text.optional().describe('udp: what is sent, as text.'),
  'send-hex': hex.optional().describe('udp: the same in hexadecimal digits.'),
  expect: text.optional().describe('udp: what the answer contains, as text.'),
  'expect-hex': hex.optional().describe('udp: the same in hexadecimal digits.'),
  'grpc-service': z
    .string()
    .max(253)
    .optional()
    .describe('grpc: the service asked for; default all of the server.'),
  command: z
    .array(z.string().min(1).max(4096))
    .min(1)
    .max(64)
    .optional()
    .describe('script: the program and its arguments; exit status 0 is good.'),
};

export const passiveHealthShape = {
  unanswered: z
    .int()
    .min(0)
    .max(10_000)
    .default(5)
    .describe('So many new connections and none answered: it is bad; 0: not judged.'),
  resets: z
    .int()
    .min(0)
    .max(100)
    .default(50)
    .describe('Percent of connections reset by the server: more is bad; 0: not judged.'),
  window: time(1000, 600_000).prefault('5s').describe('The time that is looked at.'),
  hold: time(1000, 3_600_000).prefault('10s').describe('How long it stays down at least.'),
};

export const ON_DOWN = ['keep', 'reset', 'rebalance'] as const;

export type HealthConfiguration = z.output<z.ZodObject<typeof healthShape>>;
export type PassiveHealthConfiguration = z.output<z.ZodObject<typeof passiveHealthShape>>;
