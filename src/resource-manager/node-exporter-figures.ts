// From what Prometheus' node_exporter counts to load figures. Its counters rise for ever, so most
// figures come from two scrapes; the first gives only what is a state (memory, connections).
// Everything is about the whole host: with several services on it, each sees the same figures.
// Invariant: a counter that went back (the exporter or the host was started again, a CPU was taken away)
// gives no figure this time, never a wrong one.

import type { LoadFigures } from '../load/load-report.ts';
import { labelValue, PrometheusText } from './prometheus-text.ts';

const CPU_SECONDS = 'node_cpu_seconds_total';
const MEMORY_AVAILABLE = 'node_memory_MemAvailable_bytes';
const MEMORY_TOTAL = 'node_memory_MemTotal_bytes';
const PRESSURE_CPU = 'node_pressure_cpu_waiting_seconds_total';
const PRESSURE_MEMORY = 'node_pressure_memory_waiting_seconds_total';
const PRESSURE_IO = 'node_pressure_io_waiting_seconds_total';
const ESTABLISHED = 'node_netstat_Tcp_CurrEstab';
const PASSIVE_OPENS = 'node_netstat_Tcp_PassiveOpens';

const SINGLE = new Set([
  MEMORY_AVAILABLE,
  MEMORY_TOTAL,
  PRESSURE_CPU,
  PRESSURE_MEMORY,
  PRESSURE_IO,
  ESTABLISHED,
  PASSIVE_OPENS,
]);

/** A CPU that waits for I/O could work for somebody else. */
const IDLE_MODES = new Set(['idle', 'iowait']);

/** What one scrape counted. */
export interface NodeScrape {
  /** Seconds over all CPUs. */
  idleSeconds: number;
  busySeconds: number;
  /** How many CPUs times modes it has. */
  cpuSamples: number;
  readonly values: Map<string, number>;
}

/** Reads one answer of node_exporter, piece by piece. */
export class NodeScrapeReader {
  readonly scrape: NodeScrape = {
    idleSeconds: 0,
    busySeconds: 0,
    cpuSamples: 0,
    values: new Map(),
  };
  private readonly text = new PrometheusText(
    (name) => name === CPU_SECONDS || SINGLE.has(name),
    (name, labels, value) => this.take(name, labels, value),
  );

  push(piece: string): void {
    this.text.push(piece);
  }

  private take(name: string, labels: string, value: number): void {
    if (name !== CPU_SECONDS) {
      this.scrape.values.set(name, value);
      return;
    }
    const mode = labelValue(labels, 'mode');
    if (mode === undefined) return;
    this.scrape.cpuSamples++;
    if (IDLE_MODES.has(mode)) this.scrape.idleSeconds += value;
    else this.scrape.busySeconds += value;
  }
}

/** Whether there is anything in it that node_exporter would have said. */
export function isNodeScrape(scrape: NodeScrape): boolean {
  return scrape.values.size > 0 || scrape.cpuSamples > 0;
}

/**
 * The figures of a server from two scrapes.
 *
 * @param before the one before, if there was one
 * @param elapsedMs time between the two
 */
export function nodeFigures(
  now: NodeScrape,
  before: NodeScrape | undefined,
  elapsedMs: number,
): LoadFigures {
  const rate = (name: string) => perSecond(now, before, name, elapsedMs);
  const figures: { -readonly [K in keyof LoadFigures]: LoadFigures[K] } = {
    cpuUtilization: cpuUtilization(now, before),
    memoryUtilization: memoryUtilization(now.values),
    cpuPressure: part(rate(PRESSURE_CPU)),
    memoryPressure: part(rate(PRESSURE_MEMORY)),
    ioPressure: part(rate(PRESSURE_IO)),
    clients: positive(now.values.get(ESTABLISHED)),
    connectionsPerSecond: rate(PASSIVE_OPENS),
  };
  for (const name of Object.keys(figures) as (keyof LoadFigures)[]) {
    if (figures[name] === undefined) delete figures[name];
  }
  return figures;
}

function cpuUtilization(now: NodeScrape, before: NodeScrape | undefined): number | undefined {
  // A CPU that came brings all its seconds since the start of the host.
  if (before === undefined || before.cpuSamples !== now.cpuSamples) return undefined;
  const busy = now.busySeconds - before.busySeconds;
  // The kernel's count of waiting for I/O can go back a little (proc(5)).
  const idle = Math.max(0, now.idleSeconds - before.idleSeconds);
  if (busy < 0 || busy + idle <= 0) return undefined;
  return busy / (busy + idle);
}

function memoryUtilization(values: ReadonlyMap<string, number>): number | undefined {
  const total = values.get(MEMORY_TOTAL);
  const available = values.get(MEMORY_AVAILABLE);
  if (total === undefined || available === undefined || total <= 0) return undefined;
  return part(1 - available / total);
}

function perSecond(
  now: NodeScrape,
  before: NodeScrape | undefined,
  name: string,
  elapsedMs: number,
): number | undefined {
  const [to, from] = [now.values.get(name), before?.values.get(name)];
  if (to === undefined || from === undefined || to < from || elapsedMs <= 0) return undefined;
  return ((to - from) * 1000) / elapsedMs;
}

/** Clocks of two machines measure the same time a little differently: a share is at most 1. */
function part(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.min(1, Math.max(0, value));
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value >= 0 ? value : undefined;
}
