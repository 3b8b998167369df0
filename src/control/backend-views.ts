// From what the master, the health checks and the counters know to what operators see of each backend: the
// answers of `GET /v1/backends`. Pure but for reading main memory; the shapes are in backend-view.ts.
// What is not known is null there, never left out.

import type { HealthState } from '../health/checker.ts';
import type { LoadReport } from '../load/load-report.ts';
import type { BackendObserver } from './backend-observer.ts';
import type {
  BackendState,
  BackendView,
  DrainView,
  HealthView,
  ReasonView,
  ReportView,
} from './backend-view.ts';
import { drainView } from './drain.ts';
import { headline, withCause } from './headline.ts';
import type { Master } from './master.ts';
import type { RosterService } from './roster.ts';

export interface ViewSources {
  readonly master: Master;
  readonly observer: BackendObserver;
  health(key: string): HealthState | undefined;
  /** Of CLOCK_MONOTONIC, not wrapped. */
  readonly nowMs: number;
}

/** All backends, or those of one service, in the order of the configuration. */
export function backendViews(sources: ViewSources, only?: string): BackendView[] {
  const services = sources.master.roster.filter(({ name }) => only === undefined || name === only);
  return services.flatMap((service) =>
    service.backends.map((_, n) => backendViewOf(sources, service, n)),
  );
}

/** One of them, made alone: there may be thousands; undefined: there is none of this name. */
export function findBackendView(
  sources: ViewSources,
  serviceName: string,
  name: string,
): BackendView | undefined {
  const service = sources.master.roster.find((each) => each.name === serviceName);
  const n = service?.backends.findIndex((each) => each.name === name) ?? -1;
  return service === undefined || n < 0 ? undefined : backendViewOf(sources, service, n);
}

/** Whether some backend of a service but this one could take a new connection. */
export function hasOtherBackend(sources: ViewSources, service: string, name: string): boolean {
  const { master, nowMs } = sources;
  const found = master.roster.find((each) => each.name === service);
  return (found?.backends ?? []).some(({ name: other, key, configuration }) => {
    if (other === name) return false;
    if ((master.operator.weight(key) ?? configuration.weight) === 0) return false;
    const drain = drainOf(master, key, nowMs);
    const health = sources.health(key);
    const state = stateOf(
      drain,
      master.report(key),
      isCurrent(found, master.report(key), nowMs),
      health,
    );
    return state === 'up' || state === 'unchecked';
  });
}

function backendViewOf(sources: ViewSources, roster: RosterService, n: number): BackendView {
  const { master, observer, nowMs } = sources;
  const { configuration: service } = roster;
  const { configuration: backend, key, id } = roster.backends[n];
  const outputs = master.output(service.name)?.backends;
  // Nearly always at the same place: the last decision is about the configuration that runs.
  const output =
    outputs?.[n]?.name === backend.name
      ? outputs[n]
      : outputs?.find(({ name }) => name === backend.name);
  const { reading, rates } = observer.look(id);
  const health = sources.health(key);
  const report = master.report(key);
  const drain = drainOf(master, key, nowMs);
  const reasons: ReasonView[] = (output?.reasons ?? []).map((each) => withCause(each, health));
  const asked = output?.connectionLimit;
  const limits = [backend['connection-limit'], asked];
  const limit = Math.min(...limits.map((each) => each ?? Number.POSITIVE_INFINITY));
  return {
    service: service.name,
    name: backend.name,
    address: backend.address,
    port: backend.port,
    protocol: service.protocol,
    labels: backend.labels,
    isFallback: backend.fallback,
    state: stateOf(drain, report, isCurrent(roster, report, nowMs), health),
    weight: {
      configured: backend.weight,
      operator: master.operator.weight(key) ?? null,
      now: output?.exactWeight ?? backend.weight,
      published: output?.weight ?? backend.weight,
      share: output?.share ?? 0,
    },
    why: headline(output?.reasons ?? [], health),
    reasons,
    health: health === undefined ? null : healthView(health, nowMs),
    report: report === undefined ? null : reportView(report, nowMs),
    connections: {
      active: reading.active,
      open: reading.open,
      total: reading.connections,
      limit: Number.isFinite(limit) ? limit : null,
    },
    rates,
    drain,
  };
}

/** As the master sees it: what a server says of its health lapses, what it asks for otherwise does not. */
function isCurrent(
  service: RosterService | undefined,
  report: LoadReport | undefined,
  nowMs: number,
): boolean {
  if (report === undefined || service === undefined) return false;
  return nowMs - report.receivedAtMs <= service.settings.expiryMs;
}

function drainOf(master: Master, key: string, nowMs: number): DrainView | null {
  const drain = master.operator.drain(key);
  if (drain?.progress === undefined) return null;
  return drainView(drain.order, drain.progress, nowMs);
}

function stateOf(
  drain: DrainView | null,
  report: LoadReport | undefined,
  isCurrent: boolean,
  health: HealthState | undefined,
): BackendState {
  if (drain !== null) return drain.state;
  if (report?.wish?.administrative === 'maint') return 'maintenance';
  if (report?.wish?.administrative === 'drain') return 'draining';
  if (isCurrent && report?.wish?.operational === 'down') return 'down';
  return health?.status ?? 'up';
}

function healthView(health: HealthState, nowMs: number): HealthView {
  const { last, heldUntilMs } = health;
  return {
    status: health.status,
    cause: health.cause,
    sinceMs: Math.max(0, Math.round(nowMs - health.sinceMs)),
    lastCheck:
      last === undefined
        ? null
        : {
            ok: last.ok,
            durationMs: Math.round(last.durationMs * 10) / 10,
            detail: last.detail,
            ageMs: Math.max(0, Math.round(nowMs - last.atMs)),
          },
    checks: health.checks,
    failures: health.failures,
    flaps: health.flaps,
    heldForMs:
      heldUntilMs === undefined || heldUntilMs <= nowMs ? null : Math.round(heldUntilMs - nowMs),
  };
}

function reportView(report: LoadReport, nowMs: number): ReportView {
  const { source, identity, figures, wish } = report;
  return {
    source,
    identity,
    ageMs: Math.max(0, Math.round(nowMs - report.receivedAtMs)),
    figures: figures as Record<string, number>,
    ...(wish && { wish: wish as Record<string, number | string> }),
  };
}
