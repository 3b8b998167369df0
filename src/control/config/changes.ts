// What a new configuration changes: which of it a running weir can take over, and what to tell the
// operator about the rest, one line for each change.
//
// Invariant: both functions give nothing for equal configurations.

import { isDeepStrictEqual } from 'node:util';
import type { BackendConfiguration, Configuration, ServiceConfiguration } from './schema.ts';
import type { TimeoutName } from './schema-timeouts.ts';

/** Fixed at start: interfaces are opened, the pseudo-network device is made, processes spawned and memory laid out by them. */
const FIXED_KEYS = ['interfaces', 'processors', 'limits', 'control'] as const;

/** Keys of which it is only said that they have changed. */
const SERVICE_KEYS = [
  'persistence',
  'connection-limit',
  'health',
  'passive-health',
  'panic-threshold',
  'on-down',
  'distribution',
  'load',
  'rules',
] as const;
const BACKEND_KEYS = ['labels', 'connection-limit', 'fallback', 'health-port', 'load'] as const;

/** Paths of the changes that only a restart can bring about, such as 'limits.connections'. */
export function needsRestart(before: Configuration, after: Configuration): string[] {
  return FIXED_KEYS.flatMap((key) => changedPaths(before[key], after[key], key));
}

function changedPaths(before: unknown, after: unknown, path: string): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) {
    if (before.length !== after.length) return [path];
    return before.flatMap((value, i) => changedPaths(value, after[i], `${path}[${i}]`));
  }
  if (isRecord(before) && isRecord(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) => changedPaths(before[key], after[key], `${path}.${key}`));
  }
  return [path];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What changes, for people: services and backends by name, then the rest. */
export function describeChanges(before: Configuration, after: Configuration): string[] {
  const lines: string[] = [];
  const pairs = byName(before.services, after.services);
  for (const [old, young] of pairs) {
    if (young === undefined) lines.push(`service ${old!.name}: removed`);
    else if (old === undefined) lines.push(`service ${young.name}: added, ${summary(young)}`);
    else lines.push(...serviceChanges(old, young));
  }
  const routesBefore = before.routes.map(routeText);
  const routesAfter = after.routes.map(routeText);
  for (const route of routesBefore) {
    if (!routesAfter.includes(route)) lines.push(`route ${route}: removed`);
  }
  for (const route of routesAfter) {
    if (!routesBefore.includes(route)) lines.push(`route ${route}: added`);
  }
  for (const [old, young] of byName(before.applications, after.applications)) {
    const name = (young ?? old)!.name;
    if (young === undefined) lines.push(`application ${name}: removed`);
    else if (old === undefined) lines.push(`application ${name}: added`);
    else {
      const paths = changedPaths(old, young, `application ${name}`);
      lines.push(...paths.map((path) => `${path}: changed, it is set up anew`));
    }
  }
  for (const path of changedPaths(before.controlPairs, after.controlPairs, 'control.pairs')) {
    lines.push(`${path}: changed`);
  }
  const order = ({ applications }: Configuration, other: Configuration) =>
    applications.flatMap(({ name }) =>
      other.applications.some((each) => each.name === name) ? [name] : [],
    );
  if (!isDeepStrictEqual(order(before, after), order(after, before))) {
    lines.push(`applications: in another order, ${order(after, before).join(', ')}`);
  }
  for (const key of ['routing', 'forwarding', 'rate-limits', 'resource-manager'] as const) {
    for (const path of changedPaths(before[key], after[key], key)) lines.push(`${path}: changed`);
  }
  for (const path of needsRestart(before, after)) lines.push(`${path}: changed, needs a restart`);
  return lines;
}

function serviceChanges(old: ServiceConfiguration, young: ServiceConfiguration): string[] {
  const lines: string[] = [];
  const note = (what: string) => lines.push(`service ${young.name}: ${what}`);
  if (listener(old) !== listener(young)) note(`${listener(old)} → ${listener(young)}`);
  if (old.forwarding !== young.forwarding) {
    note(`forwarding ${old.forwarding} → ${young.forwarding}`);
  }
  if (old.scheduler !== young.scheduler) note(`scheduler ${old.scheduler} → ${young.scheduler}`);
  for (const timeout of Object.keys(young.timeouts) as TimeoutName[]) {
    const [was, is] = [old.timeouts[timeout], young.timeouts[timeout]];
    if (was !== is) note(`timeout ${timeout} ${was}s → ${is}s`);
  }
  for (const key of SERVICE_KEYS) {
    for (const path of changedPaths(old[key], young[key], key)) note(`${path} changed`);
  }
  for (const [was, is] of byName(old.backends, young.backends)) {
    if (is === undefined) note(`backend ${was!.name} removed`);
    else if (was === undefined) {
      note(`backend ${is.name} added, ${backendText(is)}${rise(young, 0, is.weight)}`);
    } else {
      const [from, to] = [endPoint(was), endPoint(is)];
      if (from !== to) note(`backend ${is.name} ${from} → ${to}`);
      if (was.weight !== is.weight) {
        const text = `weight ${was.weight} → ${is.weight}`;
        note(`backend ${is.name} ${text}${rise(young, was.weight, is.weight)}`);
      }
      for (const key of BACKEND_KEYS) {
        for (const path of changedPaths(was[key], is[key], key)) {
          note(`backend ${is.name} ${path} changed`);
        }
      }
    }
  }
  return lines;
}

/** Pairs what has the same name in both lists; the new list's order, then what was removed. */
function byName<T extends { name: string }>(before: T[], after: T[]): [T?, T?][] {
  const old = new Map(before.map((item) => [item.name, item]));
  const kept = new Set(after.map(({ name }) => name));
  const pairs: [T?, T?][] = after.map((item) => [old.get(item.name), item]);
  for (const item of before) if (!kept.has(item.name)) pairs.push([item, undefined]);
  return pairs;
}

function summary(service: ServiceConfiguration): string {
  const count = service.backends.length;
  return `${listener(service)}, ${count} backend${count === 1 ? '' : 's'}`;
}

function listener({ protocol, address, port }: ServiceConfiguration): string {
  return `${protocol} ${address}:${port}`;
}

/** Who looks at the shares right after a reload must not take a slow start for a fault. */
function rise({ distribution }: ServiceConfiguration, from: number, to: number): string {
  const seconds = distribution['slow-start'] / 1000;
  return to > from && seconds > 0 ? `, rises over ${seconds} s (slow-start)` : '';
}

function endPoint({ address, port }: BackendConfiguration): string {
  return `${address}:${port}`;
}

function backendText(backend: BackendConfiguration): string {
  return `${endPoint(backend)}, weight ${backend.weight}`;
}

function routeText(route: Configuration['routes'][number]): string {
  const { to, via, interface: name, type, metric } = route;
  const parts = [
    ...(type === undefined ? [] : [type]),
    to,
    ...(via === undefined ? [] : [`via ${via}`]),
    ...(name === undefined ? [] : [`on ${name}`]),
    ...(metric === 0 ? [] : [`metric ${metric}`]),
  ];
  return parts.join(' ');
}
