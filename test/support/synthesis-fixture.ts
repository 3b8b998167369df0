// Inputs for tests of the synthesis in few words: backends with what differs from a healthy one of
// weight 1, and a clock that goes on by one second for each synthesis.

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
import type { LoadFigures, LoadReport, LoadWish } from '../../src/load/load-report.ts';

export function backendInput(name: string, changes: Partial<BackendInput> = {}): BackendInput {
  return {
    name,
    configuredWeight: 1,
    isFallback: false,
    health: 'up',
    administrative: 'ready',
    activeConnections: 0,
    begunConnections: 0,
    ...changes,
  };
}

/** A report that has just come; the time is its sequence number, too. */
export function loadReport(atMs: number, figures: LoadFigures, wish?: LoadWish): LoadReport {
  return {
    backend: 'web/b1',
    source: 'agent',
    identity: 'agent-1',
    sequence: atMs,
    receivedAtMs: atMs,
    figures,
    ...(wish !== undefined && { wish }),
  };
}

/** One service over time. */
export class SynthesisRun {
  readonly settings: DistributionSettings;
  nowMs = 0;
  memory: ServiceMemory | undefined;

  constructor(settings: Partial<DistributionSettings> = {}) {
    this.settings = { ...DEFAULT_DISTRIBUTION, ...settings };
  }

  /** The synthesis of this second; the memory goes through JSON, as in the life of weir. */
  next(backends: readonly BackendInput[]): ServiceOutput {
    this.nowMs += 1000;
    const output = synthesize(this.settings, backends, this.memory, this.nowMs);
    this.memory = JSON.parse(JSON.stringify(output.next)) as ServiceMemory;
    return output;
  }

  /** That many seconds with the same inputs, made anew for each; the last output. */
  repeat(seconds: number, backends: (nowMs: number) => readonly BackendInput[]): ServiceOutput {
    let output = this.next(backends(this.nowMs + 1000));
    for (let i = 1; i < seconds; i++) output = this.next(backends(this.nowMs + 1000));
    return output;
  }
}

export function weightsOf(output: ServiceOutput): number[] {
  return output.backends.map(({ weight }) => weight);
}

export function exactWeightsOf(output: ServiceOutput): number[] {
  return output.backends.map(({ exactWeight }) => Number(exactWeight.toFixed(3)));
}
