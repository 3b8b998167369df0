// Backends for the tests of the control socket's routes and of the commands that use them: literal views,
// and behind them the real changes of operators and the real drains. Only what the control processor
// would do with main memory is missing: the test says what is counted, and `passSeconds` lets time go on.

import type { BackendActions } from './admin-backends.ts';
import type { BackendState, BackendView, ReportView, RuntimeChange } from './backend-view.ts';
import { drainView } from './drain.ts';
import { type DrainRequest, type Operation, OperatorChanges } from './operator-changes.ts';

/** A backend that is up and to which nothing happens, but for what is given. */
export function backendView(changes: Partial<BackendView> = {}): BackendView {
  return {
    service: 'web',
    name: 'b1',
    address: '10.2.0.11',
    port: 8080,
    protocol: 'tcp',
    labels: [],
    isFallback: false,
    state: 'up',
    weight: { configured: 1, operator: null, now: 1, published: 100, share: 0.5 },
    why: 'the configured weight',
    reasons: [],
    health: null,
    report: null,
    connections: { active: 0, open: 0, total: 0, limit: null },
    rates: {
      connectionsPerSecond: 0,
      packetsInPerSecond: 0,
      packetsOutPerSecond: 0,
      bytesInPerSecond: 0,
      bytesOutPerSecond: 0,
    },
    drain: null,
    ...changes,
  };
}

export const REPORT: ReportView = {
  source: 'agent',
  identity: 'b1',
  ageMs: 1200,
  figures: { cpuUtilization: 0.87, memoryUtilization: 0.43, clients: 120, executionTimeMs: 12.345 },
};

export class LiteralBackends implements BackendActions {
  views: BackendView[];
  operatorChanges = new OperatorChanges();
  /** Open connections, by key; what a drain waits for. */
  readonly open = new Map<string, number>();
  /** Every change that was asked for, in a line. */
  readonly asked: string[] = [];
  nowMs = 1_000_000;
  /** Thrown by the next change. */
  failure: Error | undefined;

  constructor(views: BackendView[]) {
    this.views = views;
  }

  backends(service?: string): readonly BackendView[] {
    const views = this.views.filter((view) => service === undefined || view.service === service);
    return views.map((view) => this.present(view));
  }

  keys(): readonly string[] {
    return this.views.map(({ service, name }) => `${service}/${name}`);
  }

  hasOther(service: string, leaving: string): boolean {
    const others = this.backends(service).filter(({ name }) => name !== leaving);
    return others.some(({ state, weight }) => {
      const isReady = state === 'up' || state === 'unchecked';
      return isReady && (weight.operator ?? weight.configured) > 0;
    });
  }

  backend(service: string, name: string): BackendView | undefined {
    return this.backends(service).find((each) => each.name === name);
  }

  changes(): readonly RuntimeChange[] {
    return this.operatorChanges.list((key) => this.viewOf(key)?.weight.configured);
  }

  async drain(key: string, request: DrainRequest, operation: Operation): Promise<void> {
    this.ask(`drain ${key} ${request.deadlineMs} ${request.atDeadline} by ${operation.by}`);
    this.operatorChanges = this.operatorChanges.withDrain(key, request, operation, this.nowMs);
    this.step();
  }

  async undrain(key: string, operation: Operation): Promise<void> {
    this.ask(`undrain ${key} by ${operation.by}`);
    this.operatorChanges = this.operatorChanges.withoutDrain(key);
  }

  async setWeight(key: string, weight: number | null, operation: Operation): Promise<void> {
    this.ask(`weight ${key} ${weight} by ${operation.by}`);
    const { operatorChanges } = this;
    this.operatorChanges =
      weight === null
        ? operatorChanges.withoutWeight(key)
        : operatorChanges.withWeight(key, weight, operation);
  }

  passSeconds(seconds: number): void {
    this.nowMs += seconds * 1000;
    this.step();
  }

  private ask(line: string): void {
    if (this.failure !== undefined) throw this.failure;
    this.asked.push(line);
  }

  private step(): void {
    for (const key of this.operatorChanges.backends) {
      const tcp = this.open.get(key) ?? 0;
      const counts = { tcp, udp: 0, begun: 100, takesNewConnections: false };
      this.operatorChanges = this.operatorChanges.withDrainStep(key, counts, this.nowMs);
    }
  }

  private viewOf(key: string): BackendView | undefined {
    return this.views.find(({ service, name }) => `${service}/${name}` === key);
  }

  private present(view: BackendView): BackendView {
    const key = `${view.service}/${view.name}`;
    const operator = this.operatorChanges.weight(key) ?? view.weight.operator;
    const weight = { ...view.weight, operator, now: operator ?? view.weight.now };
    const change = this.operatorChanges.drain(key);
    if (change?.progress === undefined) return { ...view, weight };
    const drain = drainView(change.order, change.progress, this.nowMs);
    const state: BackendState = drain.state;
    return { ...view, state, drain, weight: { ...weight, now: 0, published: 0, share: 0 } };
  }
}
