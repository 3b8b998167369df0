// The agent's configuration file, as a schema: every key, its type, its range and its default, and
// what one key says about another. Reading the text and placing faults in it is in
// configuration-file.ts. The keys are documented in docs/reference/agent.md; a test holds the two
// against each other.

import { z } from 'zod';
import { isAgentName, isBackendKey, MAX_REPORT_BACKENDS } from '../load/signed-report.ts';
import type { Endpoint } from './listening.ts';
import { parseEndpoint } from './report-sender.ts';

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
const MAX_DESTINATIONS = 8;
export const DEFAULT_APPLICATION_PORT = 7362;

function textWith(isGood: (text: string) => boolean, error: string) {
  return z.string({ error }).refine(isGood, { error });
}

/** '500ms', '2s', '1m', or a number of seconds; becomes milliseconds. */
function duration(leastMs: number, mostMs: number) {
  const error = `a duration from ${leastMs} ms to ${mostMs / 1000} s is expected, such as 1s or 500ms`;
  return z.union([z.string(), z.number()], { error }).transform((written, context): number => {
    const match = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m)?$/.exec(String(written));
    const milliseconds = match === null ? -1 : Number(match[1]) * MS_PER_UNIT[match[2] ?? 's'];
    if (milliseconds >= leastMs && milliseconds <= mostMs) return milliseconds;
    context.addIssue({ code: 'custom', message: error });
    return z.NEVER;
  });
}

const port = z.int({ error: 'a port is expected, 1 to 65535' }).min(1).max(65_535);

/** Where the agent listens for other balancers. */
const listener = z.strictObject({ address: z.string().min(1).default('0.0.0.0'), port });

const service = z.strictObject({
  backend: textWith(isBackendKey, 'a backend is named as SERVICE/BACKEND, such as web/b1'),
  port: port.optional(),
  orca: listener.optional(),
  'agent-check': listener.optional(),
});

const destination = z
  .string({ error: 'an address and a port are expected, such as 10.2.0.9:7360' })
  .transform((text, context): Endpoint => {
    const endpoint = parseEndpoint(text);
    if (endpoint !== undefined) return endpoint;
    const message = `'${text.slice(0, 60)}' is not an address and a port, such as 10.2.0.9:7360`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

export const agentSchema = z
  .strictObject({
    name: textWith(isAgentName, 'a name has 1 to 63 letters, digits, dots, dashes, underscores'),
    'key-file': z.string().min(1).optional(),
    'report-to': z.array(destination).max(MAX_DESTINATIONS).default([]),
    interval: duration(100, 60_000).default(1000),
    services: z.array(service).min(1).max(MAX_REPORT_BACKENDS),
    application: z
      .strictObject({
        enabled: z.boolean().default(true),
        port: port.default(DEFAULT_APPLICATION_PORT),
        expiry: duration(1000, 600_000).default(5000),
      })
      .prefault({}),
    'control-group': z.string().min(1).default('auto'),
  })
  .superRefine((configuration, context) => {
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const { services } = configuration;
    if (configuration['report-to'].length > 0 && configuration['key-file'] === undefined) {
      fault([], 'key-file is missing: reports are signed with the key that `weir agent key` makes');
    }
    const taken = new Map<number, string>();
    const take = (path: (string | number)[], listening: number, what: string) => {
      const other = taken.get(listening);
      if (other !== undefined) fault(path, `port ${listening} is that of ${other} already`);
      else taken.set(listening, what);
    };
    const { enabled, port: local } = configuration.application;
    if (enabled) take(['application', 'port'], local, 'the application endpoint');
    for (const [i, { backend, orca, 'agent-check': agentCheck }] of services.entries()) {
      if (services.findIndex((each) => each.backend === backend) < i) {
        fault(['services', i, 'backend'], `${backend} stands here twice`);
      }
      if (orca) take(['services', i, 'orca', 'port'], orca.port, `orca of ${backend}`);
      if (agentCheck) {
        take(['services', i, 'agent-check', 'port'], agentCheck.port, `agent-check of ${backend}`);
      }
    }
    const group = configuration['control-group'];
    if (!['auto', 'off'].includes(group) && !group.startsWith('/')) {
      fault(['control-group'], `'${group}' is not auto, off or a folder such as /sys/fs/cgroup/…`);
    }
  });

/** Durations are milliseconds. */
export type AgentConfiguration = z.output<typeof agentSchema>;

/** Keys that are known at a place, such as 'services[]'; '' is the top. */
export const AGENT_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['name', 'key-file', 'report-to', 'interval', 'services', 'application', 'control-group'],
  'services[]': Object.keys(service.shape),
  'services[].orca': Object.keys(listener.shape),
  'services[].agent-check': Object.keys(listener.shape),
  application: ['enabled', 'port', 'expiry'],
};
