// What is known of a stream of RTP by its packets, RFC 3550: packets lost by sequence numbers (A.1 and A.3)
// and interarrival jitter (A.8), in the words of one line of the media relay's table. All in int32. A
// stream of UDPTL has sequence numbers but no timestamps: loss only.
//
// Arrival times have the clock's resolution, a millisecond, as that is read once in a burst: single steps of
// the jitter are coarser than the RFC's, its mean is not.
// Invariant: only the processor to which the line belongs writes it; a reader may see it a packet behind.

import * as table from '../../tables/media-relay-table.ts';

/** A.1: so many packets may be missing at once before it is taken for another beginning. */
const MAX_DROPOUT = 3000;
/** A.1: a packet may come so much too late. */
const MAX_MISORDER = 100;
const SEQUENCE_MODULUS = 65_536;
/** Units between expected and real arrival: more is another beginning of the sender's clock. */
export const MAX_DIFFERENCE = 1 << 24;
/** In place of a sequence number: there was no jump. */
const NO_JUMP = SEQUENCE_MODULUS + 1;

export class StreamStatistics {
  private readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /**
   * A packet of RTP has come.
   * @param timestamp in units of the media's clock
   * @param clockRate units in a second; 0: there is no timestamp @hot
   */
  receive(
    line: number,
    ssrc: number,
    sequence: number,
    timestamp: number,
    clockRate: number,
    nowMs: number,
  ): void {
    const { words } = this;
    if (words[line + table.LINE_STARTED] === 0) {
      words[line + table.LINE_STARTED] = 1;
      this.begin(line, ssrc, sequence);
    } else if (words[line + table.LINE_SOURCE] !== ssrc) {
      const changes = (words[line + table.LINE_SOURCE_CHANGES] + 1) | 0;
      words[line + table.LINE_SOURCE_CHANGES] = changes;
      this.begin(line, ssrc, sequence);
    } else {
      if (!this.follows(line, sequence)) return;
      const isFirst = words[line + table.LINE_RECEIVED] === 0;
      if (clockRate > 0 && !isFirst) this.measureJitter(line, timestamp, clockRate, nowMs);
    }
    words[line + table.LINE_RECEIVED] = (words[line + table.LINE_RECEIVED] + 1) | 0;
    words[line + table.LINE_ARRIVAL] = nowMs;
    words[line + table.LINE_TIMESTAMP] = timestamp;
  }

  /** What came so far was not the party's. @hot */
  forget(line: number): void {
    const { words } = this;
    words[line + table.LINE_STARTED] = 0;
    words[line + table.LINE_RECEIVED] = 0;
    words[line + table.LINE_LOST_BEFORE] = 0;
    words[line + table.LINE_SOURCE_CHANGES] = 0;
    words[line + table.LINE_MOST_JITTER] = 0;
  }

  /** The first packet of a source; what was lost of the one before is kept. @hot */
  private begin(line: number, ssrc: number, sequence: number): void {
    const { words } = this;
    this.keepLost(line);
    words[line + table.LINE_SOURCE] = ssrc;
    words[line + table.LINE_LOWEST] = sequence;
    words[line + table.LINE_HIGHEST] = sequence;
    words[line + table.LINE_RECEIVED] = 0;
    words[line + table.LINE_JUMPED_TO] = NO_JUMP;
    words[line + table.LINE_JITTER] = 0;
  }

  /** @hot */
  private keepLost(line: number): void {
    const { words } = this;
    const received = words[line + table.LINE_RECEIVED];
    if (received === 0) return;
    const span = (words[line + table.LINE_HIGHEST] - words[line + table.LINE_LOWEST]) | 0;
    const lost = (span + 1 - received) | 0;
    words[line + table.LINE_LOST_BEFORE] = (words[line + table.LINE_LOST_BEFORE] + lost) | 0;
  }

  /** A.1, update_seq. @returns whether the packet counts: the first one after a jump does not. @hot */
  private follows(line: number, sequence: number): boolean {
    const { words } = this;
    const highest = words[line + table.LINE_HIGHEST];
    const ahead = (sequence - highest) & 0xffff;
    if (ahead < MAX_DROPOUT) {
      words[line + table.LINE_HIGHEST] = (highest + ahead) | 0;
      words[line + table.LINE_JUMPED_TO] = NO_JUMP;
      return true;
    }
    if (ahead > SEQUENCE_MODULUS - MAX_MISORDER) return true;
    if (sequence !== words[line + table.LINE_JUMPED_TO]) {
      words[line + table.LINE_JUMPED_TO] = (sequence + 1) & 0xffff;
      return false;
    }
    // Two in a row: the sender has begun again without a word.
    this.begin(line, words[line + table.LINE_SOURCE], sequence);
    return true;
  }

  /** A.8, in sixteenths of a unit. @hot */
  private measureJitter(line: number, timestamp: number, clockRate: number, nowMs: number): void {
    const { words } = this;
    const passedMs = (nowMs - words[line + table.LINE_ARRIVAL]) | 0;
    const passed = ((passedMs * clockRate) / 1000) | 0;
    const sent = (timestamp - words[line + table.LINE_TIMESTAMP]) | 0;
    let difference = (passed - sent) | 0;
    if (difference < 0) difference = -difference | 0;
    // The least int32 has no opposite.
    if (difference < 0 || difference > MAX_DIFFERENCE) return;
    const before = words[line + table.LINE_JITTER];
    const jitter = (before + difference - ((before + 8) >> 4)) | 0;
    words[line + table.LINE_JITTER] = jitter;
    if (jitter > words[line + table.LINE_MOST_JITTER]) {
      words[line + table.LINE_MOST_JITTER] = jitter;
    }
  }
}
