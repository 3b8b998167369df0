// The schema of the closed loop: how load reports become weights (the master's settings), where reports come
// from, and who may send them. src/distribution and src/resource-manager do it.
// What one of these values says about another is in service-checks.ts.

import { z } from 'zod';
import { filePath, kernelAddress, name, port, durationMs as time } from './schema-values.ts';

export const distributionShape = {
  algorithm: z
    .enum(['static', 'even-load', 'capacity', 'least-response-time'])
    .default('static')
    .describe('How load becomes weights; static: as configured.'),
  smoothing: z
    .number()
    .gt(0)
    .max(1)
    .default(0.3)
    .describe('Part of a new report in the smoothed value; 1: no smoothing.'),
  'dead-band': z
    .number()
    .min(0)
    .max(0.5)
    .default(0.05)
    .describe('A smaller relative change of a weight is not made.'),
  'largest-step': z
    .number()
    .gt(1)
    .max(100)
    .default(1.5)
    .describe('Largest factor by which a weight changes in one second.'),
  floor: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.05)
    .describe('Lowest weight, as a part of the configured one.'),
  ceiling: z
    .number()
    .min(1)
    .max(100)
    .default(4)
    .describe('Highest weight, as a multiple of the configured one.'),
  blackout: time(0, 3_600_000)
    .prefault('10s')
    .describe("How long a newcomer's reports are not yet used."),
  expiry: time(1000, 86_400_000)
    .prefault('10s')
    .describe('After this time without a report the configured weight holds again.'),
  'error-penalty': z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe('What errors per request add to the utilisation, times this.'),
  'herd-guard': z
    .boolean()
    .default(true)
    .describe('Whether connections given since the last report count as load.'),
  'slow-start': time(0, 3_600_000)
    .prefault('10s')
    .describe('Time in which a weight rises after a return.'),
};

export const loadShape = {
  source: z
    .enum(['agent', 'orca', 'agent-check', 'node-exporter'])
    .describe('Who says what load there is.'),
  port: port.optional().describe('Port of the source on the backend; not for agent.'),
  interval: time(100, 3_600_000).prefault('1s').describe('How often it is asked.'),
  timeout: time(50, 600_000).prefault('1s').describe('How long an answer may take.'),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, { error: 'a path begins with / and has no spaces' })
    .optional()
    .describe('node-exporter: the path; default /metrics.'),
  send: z.string().min(1).max(256).optional().describe('agent-check: text sent to the agent.'),
};

/** What one backend has that differs from its service. */
export const backendLoadShape = {
  source: loadShape.source.optional(),
  port: loadShape.port,
  interval: time(100, 3_600_000).optional().describe('How often it is asked.'),
  timeout: time(50, 600_000).optional().describe('How long an answer may take.'),
  path: loadShape.path,
  send: loadShape.send,
};

export const listenShape = {
  address: kernelAddress('10.2.0.9').describe(
    "Own address, one of the kernel's, that agents reach.",
  ),
  port: port.default(7360).describe('UDP port.'),
};

export const agentShape = {
  name: name.describe('Name of the agent, as in its own configuration.'),
  'key-file': filePath.describe('File with its key, or with two while one replaces the other.'),
  backends: z
    .array(z.string().min(1).max(127))
    .min(1)
    .describe('Backends that it may speak for, as service/backend.'),
};

export const remoteShape = {
  address: kernelAddress('10.2.0.50').describe('Address of the resource manager.'),
  port: port.default(7361).describe('TCP port.'),
  'key-file': filePath.describe('File with the key that both have.'),
};

export const resourceManagerShape = {
  listen: z
    .strictObject(listenShape)
    .optional()
    .describe("Where agents' reports are received; absent: none are."),
  'reports-per-second': z
    .int()
    .min(1)
    .max(10_000)
    .default(20)
    .describe('Reports of one agent that are taken per second; more are dropped.'),
  agents: z.array(z.strictObject(agentShape)).default([]).describe('Who may send reports.'),
  remote: z
    .strictObject(remoteShape)
    .optional()
    .describe('A resource manager on another host, instead of listen and agents.'),
};

export type DistributionConfiguration = z.output<z.ZodObject<typeof distributionShape>>;
export type LoadConfiguration = z.output<z.ZodObject<typeof loadShape>>;
export type BackendLoadConfiguration = z.output<z.ZodObject<typeof backendLoadShape>>;
export type ResourceManagerConfiguration = z.output<z.ZodObject<typeof resourceManagerShape>>;
