// Runs the selected parts one after the other, gives each what it needs (a network, the contenders in
// their turns, a place for its figures), and makes one result of it all. A contender that fails, fails
// alone: it is recorded as missing with the reason, and the others go on. Invariant: no contender is
// running when the next one starts, and no network outlives the run.

import { clearLeftovers } from '../../src/lab/clean-up.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { findAims } from './aims.ts';
import type { BenchArguments } from './arguments.ts';
import { BenchNetwork } from './bench-network.ts';
import type { Contender, RunningContender, Wanted } from './contender.ts';
import { CONTENDERS } from './contenders.ts';
import { confine, onLoadCpu } from './cpu-time.ts';
import { describeMachine, machineTime, revision } from './machine.ts';
import type { Part, PartContext } from './part.ts';
import { PARTS, type PlannedPart } from './parts.ts';
import { Progress } from './progress.ts';
import type { BenchResult } from './result.ts';
import { ResultLog } from './result-log.ts';
import { rotated } from './rounds.ts';

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n').join(' ');
}

function secondsOf({ quickSeconds, roundSeconds }: PlannedPart, wanted: BenchArguments): number {
  if (wanted.isQuick) return quickSeconds * wanted.rounds;
  return roundSeconds * wanted.rounds;
}

/** One run, from the first part to the result. */
export class BenchRun {
  readonly #wanted: BenchArguments;
  readonly #log = new ResultLog();
  readonly #progress = new Progress();
  readonly #drivers = new Set<string>();
  #network: BenchNetwork | undefined;
  #isNetworkSpoilt = false;
  #failures = 0;

  constructor(wanted: BenchArguments) {
    this.#wanted = wanted;
  }

  /** How many contenders or parts have failed that should have worked. */
  get failures(): number {
    return this.#failures;
  }

  async run(command: string): Promise<BenchResult> {
    const startedAt = new Date().toISOString();
    const began = performance.now();
    const since = machineTime();
    clearLeftovers();
    const planned = PARTS.filter(({ part }) => this.#wanted.parts.includes(part.name));
    for (const [index, plan] of planned.entries()) {
      const later = planned.slice(index + 1).map((each) => secondsOf(each, this.#wanted));
      const laterSeconds = later.reduce((sum, seconds) => sum + seconds, 0);
      this.#progress.begin(plan.part.name, secondsOf(plan, this.#wanted), laterSeconds);
      await this.#runPart(plan.part);
    }
    this.#progress.end();
    this.#leaveNetwork();
    const result: Omit<BenchResult, 'aims'> = {
      startedAt,
      seconds: Math.round((performance.now() - began) / 1000),
      command,
      revision: revision(),
      isQuick: this.#wanted.isQuick,
      rounds: this.#wanted.rounds,
      machine: describeMachine([...this.#drivers].sort().join('; '), since),
      series: this.#log.series,
      missing: this.#log.allMissing,
    };
    return { ...result, aims: findAims(result) };
  }

  async #runPart(part: Part): Promise<void> {
    if (this.#isNetworkSpoilt) this.#leaveNetwork();
    const problem = part.needsRoot ? skipReason({ bpf: true }) : undefined;
    if (problem !== undefined) {
      this.#log.missing(part.name, 'all', problem);
      return;
    }
    try {
      await part.run(this.#contextFor(part));
    } catch (error) {
      this.#fail(part.name, 'all', error);
    }
  }

  #fail(part: string, contender: string, error: unknown): void {
    this.#failures += 1;
    const reason = messageOf(error);
    this.#log.missing(part, contender, reason);
    this.#progress.say(`${contender} failed: ${reason}`);
  }

  #contextFor({ name }: Part): PartContext {
    const { isQuick, isTrial, rounds } = this.#wanted;
    return {
      isQuick,
      isTrial,
      rounds,
      network: async () => this.#networkFor(1),
      networkWithQueues: async (queues) => this.#networkFor(queues),
      contenders: (protocol, round) => this.#contenders(name, protocol, round),
      withContender: (contender, wanted, use) => this.#with(name, contender, wanted, use),
      record: (contender, measure, value) => this.#log.record(name, contender, measure, value),
      missing: (contender, reason) => this.#log.missing(name, contender, reason),
      say: (text) => this.#progress.say(text),
    };
  }

  #networkFor(queues: number): BenchNetwork {
    if (this.#network?.queues !== queues) {
      this.#leaveNetwork();
      this.#network = new BenchNetwork({ queues });
    }
    return this.#network;
  }

  #leaveNetwork(): void {
    this.#network?.remove();
    this.#network = undefined;
    this.#isNetworkSpoilt = false;
  }

  #contenders(part: string, protocol: 'udp' | 'tcp', round: number): Contender[] {
    const selected = CONTENDERS.filter(({ name }) => this.#wanted.contenders.includes(name));
    const able = selected.filter(({ protocols }) => protocols.includes(protocol));
    const available = able.filter((contender) => {
      const reason = contender.unavailable();
      if (reason !== undefined) this.#log.missing(part, contender.name, reason);
      return reason === undefined;
    });
    return rotated(available, round);
  }

  async #with(
    part: string,
    contender: Contender,
    wanted: Wanted,
    use: (running: RunningContender, network: BenchNetwork) => Promise<void>,
  ): Promise<void> {
    let running: RunningContender | undefined;
    this.#progress.say(`${contender.label} starts`);
    try {
      const network = this.#network ?? this.#networkFor(1);
      network.forgetNeighbors();
      // It binds itself to the CPUs under test; what it leaves floating belongs beside the load.
      const started = await contender.start(network, wanted);
      running = started;
      confine(started.processes(), wanted.cpus);
      if (started.drivers !== undefined) this.#drivers.add(started.drivers);
      await onLoadCpu(() => use(started, network));
    } catch (error) {
      this.#fail(part, contender.name, error);
    }
    try {
      await running?.stop();
    } catch (error) {
      // The others of this part have their servers in this network; the next part gets a clean one.
      this.#fail(part, contender.name, error);
      this.#isNetworkSpoilt = true;
    }
  }
}
