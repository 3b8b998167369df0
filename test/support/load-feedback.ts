// What the load-feedback scenario writes down while it runs: second by second what each server reported,
// what weight and share weir made of it, what clients got; for the test, and as a JSON file for the chart
// in docs/guides/load-feedback.md when WEIR_RECORD names one.

import { writeFileSync } from 'node:fs';
import type { OpenLoad } from '../../src/lab/open-load-client.ts';
import { percentile, shares, within } from '../../src/lab/open-load-samples.ts';
import type { WeirProcess } from '../../src/lab/weir-process.ts';
import { viewBackends } from './operated-switch.ts';

const STEP_MS = 500;
const WINDOW_MS = 1000;
const RECORD_VARIABLE = 'WEIR_RECORD';

export interface ServerMoment {
  /** Of the last report; undefined before there is one. */
  readonly utilization: number | undefined;
  readonly cpuUtilization: number | undefined;
  /** In units of configured weights. */
  readonly weight: number;
  /** Of the connections to come, as published. */
  readonly share: number;
}

export interface Moment {
  readonly atMs: number;
  readonly phase: string;
  readonly servers: Readonly<Record<string, ServerMoment>>;
}

/** A moment with what clients saw of the requests that were due in the second before it. */
export interface SeenMoment extends Moment {
  readonly answered: Readonly<Record<string, number>>;
  readonly medianMs: number;
  readonly p99Ms: number;
}

export class FeedbackRecord {
  readonly moments: Moment[] = [];
  readonly events: { atMs: number; text: string }[] = [];
  phase = '';
  readonly #weir: WeirProcess;
  readonly #load: OpenLoad;
  readonly #names: readonly string[];
  readonly #beginMs = Date.now();
  readonly #timer: NodeJS.Timeout;

  constructor(weir: WeirProcess, load: OpenLoad, names: readonly string[]) {
    this.#weir = weir;
    this.#load = load;
    this.#names = names;
    this.#timer = setInterval(() => void this.#take(), STEP_MS);
  }

  async #take(): Promise<void> {
    const views = await viewBackends(this.#weir).catch(() => undefined);
    if (views === undefined) return;
    const servers = this.#names.map((name): [string, ServerMoment] => {
      const { report, weight } = views[`web/${name}`];
      const { applicationUtilization, cpuUtilization } = report?.figures ?? {};
      const said = { utilization: applicationUtilization, cpuUtilization };
      const given = { weight: weight.now, share: weight.share };
      return [name, { ...said, ...given }];
    });
    this.moments.push({
      atMs: Date.now() - this.#beginMs,
      phase: this.phase,
      servers: Object.fromEntries(servers),
    });
  }

  /** Something that the reader of the chart should know. */
  note(text: string): void {
    this.events.push({ atMs: Date.now() - this.#beginMs, text });
  }

  /** What clients saw is known when their requests have ended: to be asked for after the load. */
  #seen(moment: Moment): SeenMoment {
    const toMs = this.#beginMs + moment.atMs;
    const samples = within(this.#load.samples, toMs - WINDOW_MS, toMs);
    return {
      ...moment,
      answered: shares(samples, this.#names),
      medianMs: percentile(samples, 0.5),
      p99Ms: percentile(samples, 0.99),
    };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Writes the file if one is wanted. */
  write(): void {
    const file = process.env[RECORD_VARIABLE];
    if (file === undefined) return;
    const { events } = this;
    const moments = this.moments.map((moment) => this.#seen(moment));
    writeFileSync(file, `${JSON.stringify({ events, moments }, undefined, 1)}\n`);
    process.stdout.write(`recorded in ${file}\n`);
  }
}
