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
import { backendKey, type Ids } from './compile-configuration.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';
import { drainView } from './drain.ts';
import { headline, withCause } from './headline.ts';
import type { Master } from './master.ts';

export interface ViewSources {
  readonly configuration: Configuration | undefined;
  readonly ids: Ids;
  readonly master: Master;
  readonly observer: BackendObserver;
  health(key: string): HealthState | undefined;
  /** Of CLOCK_MONOTONIC, not wrapped. */
  readonly nowMs: number;
}

/** All backends, in the order of the configuration. */
export function backendViews(sources: ViewSources): BackendView[] {
  const services = sources.configuration?.services ?? [];
  return services.flatMap((service) =>
    service.backends.map((_, n) => backendViewOf(sources, service, n)),
  );
}

/** One of them; undefined: there is none of this name. */
export function findBackendView(
  sources: ViewSources,
  serviceName: string,
  name: string,
): BackendView | undefined {
  const service = sources.configuration?.services.find((each) => each.name === serviceName);
  const n = service?.backends.findIndex((each) => each.name === name) ?? -1;
  return service === undefined || n < 0 ? undefined : backendViewOf(sources, service, n);
}

function backendViewOf(
  sources: ViewSources,
  service: ServiceConfiguration,
  n: number,
): BackendView {
  const { master, observer, ids, nowMs } = sources;
  const backend = service.backends[n];
  const key = backendKey(service.name, backend.name);
  const outputs = master.output(service.name)?.backends;
  // Nearly always at the same place: the last decision is about the configuration that runs.
  const output =
    outputs?.[n]?.name === backend.name
      ? outputs[n]
      : outputs?.find(({ name }) => name === backend.name);
  const { reading, rates } = observer.look(ids.backends.get(key) as number);
  const health = sources.health(key);
  const report = master.report(key);
  // As the master sees it: what a server says of its health lapses, what it asks for otherwise does not.
  const isCurrent =
    report !== undefined && nowMs - report.receivedAtMs <= service.distribution.expiry;
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
    state: stateOf(drain, report, isCurrent, health),
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
