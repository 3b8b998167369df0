// The control part of one media relay: its calls in main memory, the ng server that changes them, and the
// end of those of which nothing is heard. One for each application `media-relay` of the configuration.
// Invariant: closing it ends no call: what it leaves in main memory the next one takes over.

import type { Moment } from './call-report.ts';
import { Calls } from './calls.ts';
import { Legs } from './legs.ts';
import { NgCommands } from './ng-commands.ts';
import { NgServer } from './ng-server.ts';
import type { RelayLog, RelaySettings } from './settings.ts';

const EXPIRE_EVERY_MS = 1000;

export class MediaRelayControl {
  readonly calls: Calls;
  readonly server: NgServer;
  private readonly log: RelayLog;
  private readonly now: () => Moment;
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param words the application's table in main memory
   * @param now both clocks, the monotonic one as in main memory
   */
  constructor(
    words: Int32Array,
    processors: number,
    settings: RelaySettings,
    log: RelayLog,
    now: () => Moment,
  ) {
    this.log = log;
    this.now = now;
    this.calls = new Calls(new Legs(words, processors, settings), settings);
    const commands = new NgCommands(this.calls, settings, log, now);
    this.server = new NgServer(settings.ng, commands, log, () => now().nowMs);
  }

  /** Takes over the calls that there are, then listens. */
  async start(): Promise<void> {
    const count = this.calls.begin(this.now().nowMs);
    if (count > 0) this.log.info(`the media relay goes on with ${count} calls`);
    const { count: pairs } = this.calls.legs;
    this.log.info(`the media relay has room for ${pairs >> 1} calls with one media`);
    this.timer = setInterval(() => this.expire(), EXPIRE_EVERY_MS);
    this.timer.unref();
    await this.server.open();
  }

  close(): void {
    clearInterval(this.timer);
    this.server.close();
  }

  private expire(): void {
    const ended = this.calls.expire(this.now().nowMs);
    if (ended > 0) this.log.info(`the media relay has ended ${ended} calls without media`);
  }
}
