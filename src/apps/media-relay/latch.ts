// Where a party really sends from (symmetric RTP, RFC 4961): learned from its first packets, because behind
// a NAT what signalling says is not what arrives; and guarded, because whoever guesses a port could else
// turn the media to himself.
//
//   level 4  comes from the address and port that signalling expects
//         3  from that address, another port
//         2  from the address that the party's signalling comes from: its NAT, most likely
//         1  RTCP from the address that RTP was learned from
//         0  from elsewhere
//
// Nothing is learned before the party was told the port. Then the first packet decides. Within the latch
// window from it on, one of a higher level takes over: the party wins over whoever was faster. Who is of level
// 0 or 1 has to give way at any time, so that nobody who guesses ports can shut the party out by being early.
// Else nobody takes over, but by a new offer or answer that expects the party elsewhere; or, where signalling
// allows it to move, by the same SSRC and sequence numbers that go on (UDPTL has no SSRC: it cannot move).
// Who is refused is counted. The table's file says how a latch is set without a lock.

import type { MediaRelayTable } from '../../tables/media-relay-table.ts';
import * as table from '../../tables/media-relay-table.ts';

/** How far sequence numbers may be ahead for the sender to be the same one. */
const HANDOVER_DISTANCE = 500;

export const REFUSED = 0;
export const ADMITTED = 1;
/** Admitted, and learned just now. */
export const LEARNED = 2;
/** Learned just now in the place of somebody who was not the party. */
export const TOOK_OVER = 3;

export class Latch {
  private readonly relayTable: MediaRelayTable;
  private readonly words: Int32Array;
  private readonly processor: number;
  /** Of the packet that is being looked at. */
  private address = 0;
  private port = 0;
  private ssrc = 0;

  constructor(relayTable: MediaRelayTable, processor: number) {
    this.relayTable = relayTable;
    this.words = relayTable.words;
    this.processor = processor;
  }

  /**
   * Whether a packet from `address` and `port` is the party's.
   * @param channel CHANNEL_RTP or CHANNEL_RTCP
   * @param sequence of RTP, -1 without
   * @returns REFUSED, ADMITTED, LEARNED or TOOK_OVER @hot
   */
  admit(
    leg: number,
    channel: number,
    address: number,
    port: number,
    ssrc: number,
    sequence: number,
    nowMs: number,
  ): number {
    const { words } = this;
    this.address = address;
    this.port = port;
    this.ssrc = ssrc;
    const latch = words[leg + table.LEG_LATCH + channel];
    if (latch === 0) {
      if ((words[leg + table.LEG_FLAGS] & table.FLAG_UNTOLD) !== 0) return REFUSED;
      const level = this.level(leg, channel);
      return this.isAllowed(leg, level) ? this.learn(leg, channel, latch, level, nowMs) : REFUSED;
    }
    const source = this.relayTable.sourceOf(leg, channel, latch);
    const portAndLevel = words[source + table.SOURCE_PORT];
    if (words[source + table.SOURCE_ADDRESS] === address && (portAndLevel & 0xffff) === port) {
      // RTCP may bear an identifier of its own.
      if (sequence < 0 || ssrc === words[source + table.SOURCE_SSRC]) return ADMITTED;
      return this.isGuarded(leg, source, nowMs) ? REFUSED : ADMITTED;
    }
    const level = this.level(leg, channel);
    if (!this.isAllowed(leg, level)) return REFUSED;
    const learned = portAndLevel >> 16;
    const age = (nowMs - words[source + table.SOURCE_SINCE]) | 0;
    const isOpen = learned < table.LEVEL_SIGNALLING || age <= words[table.HEADER_LATCH_WINDOW_MS];
    if (isOpen && level > learned) {
      const result = this.learn(leg, channel, latch, level, nowMs);
      return result === LEARNED ? TOOK_OVER : result;
    }
    if (sequence < 0 || !this.isMoved(leg, source, sequence)) return REFUSED;
    // Its RTCP has moved as well.
    Atomics.store(words, leg + table.LEG_LATCH + table.CHANNEL_RTCP, 0);
    return this.learn(leg, channel, latch, level, nowMs);
  }

  /** Whether a source of this level may be learned at all. @hot */
  private isAllowed(leg: number, level: number): boolean {
    const isStrict = (this.words[leg + table.LEG_FLAGS] & table.FLAG_STRICT) !== 0;
    return !isStrict || level >= table.LEVEL_ADDRESS;
  }

  /** How well the packet's source agrees with what is known of the party. @hot */
  private level(leg: number, channel: number): number {
    const { words, address, port } = this;
    const expected = (leg + table.LEG_EXPECTED + (channel << 1)) | 0;
    if (words[expected] === address) {
      return words[expected + 1] === port ? table.LEVEL_EXACT : table.LEVEL_ADDRESS;
    }
    if (words[leg + table.LEG_SIGNALLING] === address) return table.LEVEL_SIGNALLING;
    const latch = channel === table.CHANNEL_RTCP ? words[leg + table.LEG_LATCH] : 0;
    if (latch === 0) return table.LEVEL_STRANGER;
    const source = this.relayTable.sourceOf(leg, table.CHANNEL_RTP, latch);
    const isCompanion = words[source + table.SOURCE_ADDRESS] === address;
    return isCompanion ? table.LEVEL_COMPANION : table.LEVEL_STRANGER;
  }

  /** From now on the party is where this packet comes from, unless another processor was faster. @hot */
  private learn(
    leg: number,
    channel: number,
    before: number,
    level: number,
    nowMs: number,
  ): number {
    const { words, relayTable, processor } = this;
    const isMine = (before & 0xff) === processor + 1;
    const which = isMine ? ((before >> 8) & 1) ^ 1 : 0;
    const source = relayTable.sourceIn(relayTable.line(leg, processor), channel, which);
    words[source + table.SOURCE_ADDRESS] = this.address;
    words[source + table.SOURCE_PORT] = this.port | (level << 16);
    words[source + table.SOURCE_SSRC] = this.ssrc;
    words[source + table.SOURCE_SINCE] = nowMs;
    const at = (leg + table.LEG_LATCH + channel) | 0;
    const after = (processor + 1) | (which << 8);
    // Whose latch was changed meanwhile is asked again with its next packet.
    return Atomics.compareExchange(words, at, before, after) === before ? LEARNED : REFUSED;
  }

  /**
   * Whether another SSRC from the right source comes too early: while the one that was learned still
   * sends, it is somebody who forges the source. Only where the guard is on. @hot
   */
  private isGuarded(leg: number, source: number, nowMs: number): boolean {
    const { words, ssrc } = this;
    const guardMs = words[table.HEADER_SOURCE_GUARD_MS];
    const line = this.relayTable.line(leg, this.processor);
    const isRtp = (words[leg + table.LEG_FLAGS] & table.FLAG_UDPTL) === 0;
    if (isRtp && guardMs > 0 && words[line + table.LINE_SOURCE] !== ssrc) {
      const silentMs = (nowMs - words[line + table.LINE_ARRIVAL]) | 0;
      if (words[line + table.LINE_STARTED] !== 0 && silentMs < guardMs) return true;
    }
    // The source's SSRC is its own processor's to write.
    const latch = words[leg + table.LEG_LATCH];
    if ((latch & 0xff) === this.processor + 1) words[source + table.SOURCE_SSRC] = ssrc;
    return false;
  }

  /** Whether a party that may move has gone to where this packet comes from. @hot */
  private isMoved(leg: number, source: number, sequence: number): boolean {
    const { words, ssrc } = this;
    const kind = words[leg + table.LEG_FLAGS] & (table.FLAG_HANDOVER | table.FLAG_UDPTL);
    if (kind !== table.FLAG_HANDOVER) return false;
    if (words[source + table.SOURCE_SSRC] !== ssrc) return false;
    const latch = words[leg + table.LEG_LATCH];
    const line = this.relayTable.line(leg, ((latch & 0xff) - 1) | 0);
    if (words[line + table.LINE_SOURCE] !== ssrc) return false;
    const ahead = (sequence - words[line + table.LINE_HIGHEST]) & 0xffff;
    return ahead > 0 && ahead < HANDOVER_DISTANCE;
  }
}
