// The control parts of the media relays that the configuration has (src/call-control), one for each application
// `media-relay`: begun, ended and begun again as the applications' plans change.
// Invariant: one that is not changed goes on, its socket and its calls untouched.

import type { ApplicationPlan } from '../base/application-plan.ts';
import { monotonicMs } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { MediaRelayControl } from '../call-control/media-relay-control.ts';
import { tableOffset } from '../memory/application-memory.ts';
import { APPLICATION_TABLE_SIZE } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { mediaRelaySettings } from './config/media-relay-checks.ts';

export class MediaRelays {
  private readonly memory: MainMemory;
  private readonly log: Pick<Log, 'info' | 'warning'>;
  /** By what it was made of. */
  private running = new Map<string, MediaRelayControl>();

  constructor(memory: MainMemory, log: Pick<Log, 'info' | 'warning'>) {
    this.memory = memory;
    this.log = log;
  }

  /** Does what the plans in force ask for. Resolves when new ones listen, or could not. */
  async follow(plans: readonly ApplicationPlan[]): Promise<void> {
    const before = this.running;
    const wanted = new Map(
      plans
        .filter(({ module }) => module === 'media-relay')
        .map((plan) => [JSON.stringify([plan.slot, plan.options]), plan]),
    );
    for (const [key, relay] of before) if (!wanted.has(key)) relay.close();
    this.running = new Map();
    for (const [key, plan] of wanted) {
      const relay = before.get(key) ?? (await this.start(plan));
      if (relay !== undefined) this.running.set(key, relay);
    }
  }

  private async start({ slot, options }: ApplicationPlan): Promise<MediaRelayControl | undefined> {
    const settings = mediaRelaySettings(options);
    if (settings === undefined) return undefined;
    const { memory, log } = this;
    const first = tableOffset(memory, slot) >> 2;
    const words = memory.words.subarray(first, first + APPLICATION_TABLE_SIZE / 4);
    const now = () => ({ nowMs: monotonicMs(), wallMs: Date.now() });
    const { processors } = memory.layout;
    const relay = new MediaRelayControl(words, processors, settings, log, now);
    await relay.start();
    return relay;
  }

  /** Stops listening; calls go on. */
  stop(): void {
    for (const relay of this.running.values()) relay.close();
    this.running.clear();
  }
}
