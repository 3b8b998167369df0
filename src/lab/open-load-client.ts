// Starts the open-loop client (open-load.ts) on a host and collects its samples. The client is a process
// of its own, so that this one may be busy, and its lateness is counted, not hidden.
// Samples come in the order in which requests ended; those of a window are found by when they were due.

import { createInterface } from 'node:readline';
import { type LabProcess, startLabProgram, waitUntil } from './command.ts';
import type {
  OpenLoadOptions,
  OpenLoadPlace,
  RequestSample,
  SampleRow,
} from './open-load-samples.ts';

export class OpenLoad {
  readonly process: LabProcess;
  /** Every request that has ended so far, in the order of their ends. */
  readonly samples: RequestSample[] = [];
  readonly #closed: Promise<void>;
  #hasBegun = false;

  /** Requests begin at once. */
  constructor(host: OpenLoadPlace, options: OpenLoadOptions) {
    this.process = startLabProgram('open-load', [JSON.stringify(options)], {
      namespace: host.namespace,
      pipeOutput: true,
    });
    const lines = createInterface({ input: this.process.child.stdout! });
    lines.on('line', (line) => this.#take(JSON.parse(line) as SampleRow[]));
    this.#closed = new Promise((resolve) => lines.once('close', resolve));
  }

  #take(rows: SampleRow[]): void {
    this.#hasBegun = true;
    for (const [atMs, latencyMs, server, failure] of rows) {
      this.samples.push({ atMs, latencyMs, server, failure });
    }
  }

  /** No more requests; waits for those under way, and gives all samples. */
  async stop(): Promise<readonly RequestSample[]> {
    const hasBegun = () => this.#hasBegun || !this.process.isRunning();
    await waitUntil('the load client has begun', hasBegun);
    this.process.child.kill('SIGTERM');
    await this.process.exited;
    await this.#closed;
    return this.samples;
  }
}
