// Ends TCP connections that the sweep has found to be those of a backend whose connections are to be ended
// (tables/connection-sweep.ts), and tells both ends, who might else wait in silence for hours. A reset is
// believed when it bears the very sequence number that its receiver waits for (RFC 9293 §3.10.7.4, RFC 5961
// §3.2), and whoever acknowledges says which one that is; the record keeps the last acknowledgment of
// either end. If it is not the newest, its sender has more under way, which is answered with a reset
// when it comes, like anything of no connection. With direct server return only the client is told.
//
// Invariant: a connection is removed only after its client was told, unless that cannot be done; what can
// be done later (its next hop is being asked for, the transmit ring is full) is left for the sweep's
// next round. The server is told if it can be done now.

import { COUNTER_ENDED, type Counters } from '../memory/counters.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import type { MainMemory } from '../memory/region.ts';
import { FORWARDING_DSR } from '../tables/configuration-table.ts';
import * as record from '../tables/connection-record.ts';
import type { ConnectionTable } from '../tables/connection-table.ts';
import * as ethernet from '../wire/ethernet.ts';
import { PacketContext } from './packet-context.ts';
import { RateLimiter } from './rate-limiter.ts';
import * as reasons from './reasons.ts';
import { OWN_RESET_SIZE, writeOwnReset } from './reset.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

/**
 * Connections that one processor ends in a second: some 20 Mbit/s of resets. Not the limit of other resets,
 * which bounds what strangers can make us send: here nobody is told but who has a connection.
 */
const ENDINGS_PER_SECOND = 20_000;
const NO_INTERFACE = -1;

/** What it works with; all of one switching processor. */
export interface EndConnectionsParts {
  readonly memory: MainMemory;
  readonly connections: ConnectionTable;
  readonly counters: Counters;
  readonly pool: FramePool;
  readonly wayOut: WayOut;
}

export class EndConnections {
  private readonly view: DataView;
  private readonly words: Int32Array;
  private readonly lines: number;
  private readonly connections: ConnectionTable;
  private readonly counters: Counters;
  private readonly pool: FramePool;
  private readonly wayOut: WayOut;
  private readonly limiter = new RateLimiter();
  /** Of the frame that is being sent; the filter's own is not disturbed. */
  private readonly context = new PacketContext();

  constructor(parts: EndConnectionsParts) {
    this.view = parts.memory.view;
    this.words = parts.memory.words;
    this.lines = parts.memory.layout.connectionRecords >> 2;
    this.connections = parts.connections;
    this.counters = parts.counters;
    this.pool = parts.pool;
    this.wayOut = parts.wayOut;
    this.limiter.setRate(ENDINGS_PER_SECOND, 0);
  }

  /** Ends the first `count` connections of `numbers`, as many as may be now. @hot */
  end(numbers: Int32Array, count: number, nowMs: number): void {
    for (let i = 0; i < count; i++) {
      if (!this.limiter.allow(nowMs)) return;
      const number = numbers[i];
      const line = this.lines + (number << record.RECORD_SHIFT);
      if (!this.tellClient(line, nowMs)) continue;
      this.tellServer(line, nowMs);
      if (this.connections.remove(number) === 1) this.counters.add(COUNTER_ENDED, 1);
    }
  }

  /** False: it can be told later. @hot */
  private tellClient(line: number, nowMs: number): boolean {
    const { words } = this;
    const client = words[line + record.LINE_SOURCE];
    const service = words[line + record.LINE_DESTINATION];
    const ports = words[line + record.LINE_PORTS];
    const reversed = (ports << 16) | (ports >>> 16);
    const sequence = words[line + record.LINE_ACKNOWLEDGED];
    const result = this.send(service, client, reversed, sequence, nowMs);
    return (
      result !== reasons.WAITING && result !== reasons.TRANSMIT_FULL && result !== reasons.LANE_FULL
    );
  }

  /** @hot */
  private tellServer(line: number, nowMs: number): void {
    const { words } = this;
    if ((words[line + record.LINE_PORT] & 0xff) === FORWARDING_DSR) return;
    const client = words[line + record.LINE_SOURCE];
    const server = words[line + record.LINE_ADDRESS];
    const ports =
      (words[line + record.LINE_PORTS] & -65536) | (words[line + record.LINE_PORT] >>> 16);
    const sequence = words[line + record.LINE_WORDS + record.LINE_ACKNOWLEDGED];
    this.send(client, server, ports, sequence, nowMs);
  }

  /** @returns CONTINUE: sent; WAITING: its next hop is being asked for; or why not. @hot */
  private send(
    source: number,
    destination: number,
    ports: number,
    sequence: number,
    nowMs: number,
  ): number {
    const { context, view } = this;
    const frame = this.pool.take();
    if (frame < 0) return reasons.WAITING;
    const length = writeOwnReset(view, frame, source, destination, ports, sequence);
    context.begin(frame, length, NO_INTERFACE);
    context.networkOffset = (frame + ethernet.HEADER_SIZE) | 0;
    context.packetEnd = (frame + OWN_RESET_SIZE) | 0;
    const isFound = this.wayOut.find(context, destination, nowMs) !== NO_WAY_OUT;
    const result = isFound ? this.wayOut.sendNow(context, nowMs) : context.reason;
    if (result !== reasons.CONTINUE) this.pool.give(frame);
    return result;
  }
}
