// A small world in which the master's feedback is tried: servers of different capacity, connections
// assigned to them by the weights with chance, reports with noise, delay, loss and lies, and the real
// synthesize() once per period. No clock and no chance but the seeded generator: the same options give
// the same run on every machine.
//
//   a server     does `capacity` connections per second (or holds `capacity` of them at once, when
//                connections live long) with all its CPUs; other programs on it need `foreign` of
//                them. What it cannot do at once waits. It reports, once per report period, the busy
//                share of its CPUs since its last report, and how much waits, as PSI does.
//   utilisation  what is asked of the server's CPUs: own work assigned + foreign; above 1 is overload
//
// Time goes in ticks of 100 ms.

import { Prng } from '../../src/base/prng.ts';
import {
  DEFAULT_DISTRIBUTION,
  type DistributionSettings,
} from '../../src/distribution/settings.ts';
import {
  type BackendInput,
  type ServiceMemory,
  type ServiceOutput,
  synthesize,
} from '../../src/distribution/synthesis.ts';
import type { LoadFigures, LoadReport } from '../../src/load/load-report.ts';

const TICK_MS = 100;

export interface SimulatedServer {
  readonly capacity: number;
  readonly configuredWeight?: number;
  /** Part of its CPUs that other programs need; default none. */
  readonly foreign?: (timeMs: number) => number;
  /** What it says instead of the truth; undefined: nothing. Default: the truth. */
  readonly says?: (truth: LoadFigures, timeMs: number, chance: Chance) => LoadFigures | undefined;
}

export interface SimulationOptions {
  readonly seed: number;
  readonly servers: readonly SimulatedServer[];
  readonly settings?: Partial<DistributionSettings>;
  readonly connectionsPerSecond: (timeMs: number) => number;
  /** Mean life; 0 (the default): each is one short request. */
  readonly connectionLifeMs?: number;
  readonly durationMs: number;
  readonly periodMs?: number;
  readonly reportMs?: number;
  /** Relative standard deviation of a reported utilisation. */
  readonly noise?: number;
  /** A report arrives this much later, by chance. */
  readonly delayMs?: readonly [least: number, most: number];
  /** Part of the reports that never arrive. */
  readonly loss?: number;
}

/** What stood after one period of the master. */
export interface Sample {
  readonly timeMs: number;
  /** In units of configured weights, as from now on. */
  readonly weights: readonly number[];
  readonly shares: readonly number[];
  /** Mean over the period that ended now. */
  readonly utilizations: readonly number[];
  /** What the shares as from now on come to, without the chance of single connections. */
  readonly expected: readonly number[];
  readonly changed: boolean;
  readonly memory: ServiceMemory;
}

export interface Simulation {
  readonly samples: readonly Sample[];
  readonly last: ServiceOutput;
}

/** Seeded chance: even, normal, and how many of n. */
export class Chance {
  private readonly prng: Prng;

  constructor(seed: number) {
    this.prng = new Prng(Math.imul(seed + 1, 0x9e3779b1));
    for (let i = 0; i < 8; i++) this.prng.next();
  }

  /** From 0 up to 1. */
  even(): number {
    return (this.prng.next() >>> 0) / 0x1_0000_0000;
  }

  /** Mean 0, standard deviation 1: the sum of twelve even ones. */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.even();
    return sum;
  }

  /** How many of `count` tries succeed. */
  binomial(count: number, probability: number): number {
    const p = Math.min(1, Math.max(0, probability));
    const variance = count * p * (1 - p);
    if (variance > 9) {
      const drawn = Math.round(count * p + Math.sqrt(variance) * this.normal());
      return Math.min(count, Math.max(0, drawn));
    }
    let hits = 0;
    for (let i = 0; i < count; i++) if (this.even() < p) hits++;
    return hits;
  }

  poisson(mean: number): number {
    if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * this.normal()));
    let count = 0;
    for (let left = Math.exp(-mean), product = this.even(); product > left; count++) {
      product *= this.even();
    }
    return count;
  }
}

/** One server's state; its times are in milliseconds, its work in CPU-seconds. */
class ServerModel {
  readonly options: SimulatedServer;
  active = 0;
  begun = 0;
  demanded = 0; // CPU time asked for since the last sample
  report: LoadReport | undefined;
  private backlog = 0;
  private busy = 0; // since the last report
  private waited = 0;
  private windowMs = 0;
  private served = 0;
  private sequence = 0;
  private readonly mail: { atMs: number; report: LoadReport }[] = [];

  constructor(options: SimulatedServer) {
    this.options = options;
  }

  tick(timeMs: number, assigned: number, lifeMs: number, chance: Chance): void {
    const seconds = TICK_MS / 1000;
    this.begun += assigned;
    this.served += assigned;
    let own = assigned / this.options.capacity;
    if (lifeMs > 0) {
      this.active -= chance.binomial(this.active, 1 - Math.exp(-TICK_MS / lifeMs));
      this.active += assigned;
      own = (this.active / this.options.capacity) * seconds;
    }
    const foreign = this.foreign(timeMs) * seconds;
    this.demanded += own + foreign;
    const wanted = this.backlog + own;
    const done = Math.min(wanted, Math.max(seconds / 2, seconds - foreign));
    this.backlog = Math.min(3, wanted - done);
    this.busy += Math.min(seconds, done + foreign);
    if (this.backlog > 0) this.waited += seconds;
    this.windowMs += TICK_MS;
  }

  foreign(timeMs: number): number {
    return Math.max(0, this.options.foreign?.(timeMs) ?? 0);
  }

  /** Makes a report of the window that ends now, and posts it. */
  post(timeMs: number, backend: string, options: SimulationOptions, chance: Chance): void {
    const seconds = this.windowMs / 1000;
    const noisy = (this.busy / seconds) * (1 + (options.noise ?? 0) * chance.normal());
    const truth: LoadFigures = {
      cpuUtilization: Math.max(0, Math.min(1, noisy)),
      cpuPressure: this.waited / seconds,
      requestsPerSecond: this.served / seconds,
      executionTimeMs: 1000 * (1 / this.options.capacity + this.backlog),
    };
    this.busy = this.waited = this.windowMs = this.served = 0;
    const figures = this.options.says ? this.options.says(truth, timeMs, chance) : truth;
    const isLost = chance.even() < (options.loss ?? 0);
    const [least, most] = options.delayMs ?? [0, 0];
    const atMs = timeMs + least + (most - least) * chance.even();
    if (figures === undefined || isLost) return;
    const report: LoadReport = {
      backend,
      source: 'agent',
      identity: backend,
      sequence: ++this.sequence,
      receivedAtMs: atMs,
      figures,
    };
    this.mail.push({ atMs, report });
  }

  /** Takes what has arrived; a report that an earlier one overtook is refused, as in the manager. */
  receive(timeMs: number): void {
    for (let i = this.mail.length - 1; i >= 0; i--) {
      if (this.mail[i].atMs > timeMs) continue;
      const [{ report }] = this.mail.splice(i, 1);
      if (report.sequence > (this.report?.sequence ?? 0)) this.report = report;
    }
  }
}

export function simulate(options: SimulationOptions): Simulation {
  const { periodMs = 1000, reportMs = 1000, connectionLifeMs = 0 } = options;
  const settings = {
    ...DEFAULT_DISTRIBUTION,
    algorithm: 'even-load' as const,
    ...options.settings,
  };
  const chance = new Chance(options.seed);
  const servers = options.servers.map((server) => new ServerModel(server));
  // Nobody reports at the same moment as another, or as the master.
  const phases = servers.map(() => TICK_MS * Math.floor((chance.even() * reportMs) / TICK_MS));
  const samples: Sample[] = [];
  let memory: ServiceMemory | undefined;
  let last = synthesize(settings, servers.map(inputOf), undefined, 0);
  memory = last.next;
  for (let timeMs = TICK_MS; timeMs <= options.durationMs; timeMs += TICK_MS) {
    const arrivals = chance.poisson((options.connectionsPerSecond(timeMs) * TICK_MS) / 1000);
    spread(arrivals, last, chance).forEach((assigned, i) => {
      servers[i].tick(timeMs, assigned, connectionLifeMs, chance);
      if (timeMs % reportMs === phases[i]) servers[i].post(timeMs, `web/b${i}`, options, chance);
      servers[i].receive(timeMs);
    });
    if (timeMs % periodMs !== 0) continue;
    const inputs = servers.map(inputOf);
    // What live connections hold is their number, by Little's law.
    const rate =
      options.connectionsPerSecond(timeMs) * (connectionLifeMs > 0 ? connectionLifeMs / 1000 : 1);
    last = synthesize(settings, inputs, memory, timeMs);
    memory = last.next;
    samples.push({
      timeMs,
      weights: last.backends.map(({ exactWeight }) => exactWeight),
      shares: last.backends.map(({ share }) => share),
      utilizations: servers.map((server) => (server.demanded * 1000) / periodMs),
      expected: servers.map(
        (server, i) =>
          server.foreign(timeMs) + (rate * last.backends[i].share) / server.options.capacity,
      ),
      changed: last.changed,
      memory: last.next,
    });
    for (const server of servers) server.demanded = 0;
  }
  return { samples, last };
}

function inputOf(server: ServerModel, index: number): BackendInput {
  return {
    name: `b${index}`,
    configuredWeight: server.options.configuredWeight ?? 1,
    isFallback: false,
    health: 'up',
    administrative: 'ready',
    activeConnections: server.active,
    begunConnections: server.begun,
    ...(server.report !== undefined && { report: server.report }),
  };
}

/** Draws a server for each connection. */
function spread(arrivals: number, { backends }: ServiceOutput, chance: Chance): number[] {
  let left = arrivals;
  let share = 1;
  return backends.map((backend, i) => {
    const isLast = i === backends.length - 1;
    const drawn = isLast ? left : chance.binomial(left, share > 0 ? backend.share / share : 0);
    left -= drawn;
    share -= backend.share;
    return drawn;
  });
}
