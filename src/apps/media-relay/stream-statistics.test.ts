import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { packet } from '../../../test/support/packet-builder.ts';
import { rtp } from '../../../test/support/relay-bench.ts';
import { cleanAll, makeScratchFolder } from '../../lab/clean-up.ts';
import { execute, findProgram } from '../../lab/command.ts';
import { PcapWriter, pcapFileSink } from '../../netif/pcap-file.ts';
import * as table from '../../tables/media-relay-table.ts';
import { MAX_DIFFERENCE, StreamStatistics } from './stream-statistics.ts';

interface Arrival {
  readonly ssrc: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly atMs: number;
}

afterAll(() => cleanAll());

/** RFC 3550, appendices A.1, A.3 and A.8, as plainly as can be: one source, numbers of any size. */
class Reference {
  lowest = 0;
  highest = 0;
  received = 0;
  lostBefore = 0;
  jitter = 0;
  private ssrc: number | undefined;
  private jumpedTo = -1;
  private last: Arrival | undefined;
  private readonly rate: number;

  constructor(rate: number) {
    this.rate = rate;
  }

  private begin(arrival: Arrival): void {
    if (this.received > 0) this.lostBefore += this.lostNow;
    this.ssrc = arrival.ssrc;
    this.lowest = arrival.sequence;
    this.highest = arrival.sequence;
    this.received = 0;
    this.jitter = 0;
    this.jumpedTo = -1;
    this.last = undefined;
  }

  receive(arrival: Arrival): void {
    if (this.ssrc !== arrival.ssrc) this.begin(arrival);
    else {
      const ahead = (((arrival.sequence - this.highest) % 65_536) + 65_536) % 65_536;
      if (ahead < 3000) {
        this.highest += ahead;
        this.jumpedTo = -1;
      } else if (ahead <= 65_536 - 100) {
        if (arrival.sequence !== this.jumpedTo) {
          this.jumpedTo = (arrival.sequence + 1) % 65_536;
          return;
        }
        this.begin(arrival);
      }
    }
    if (this.last !== undefined) {
      const passed = Math.trunc(((arrival.atMs - this.last.atMs) * this.rate) / 1000);
      const sent = (arrival.timestamp - this.last.timestamp) | 0;
      const difference = Math.abs((passed - sent) | 0);
      if (difference <= MAX_DIFFERENCE) {
        this.jitter += difference - Math.floor((this.jitter + 8) / 16);
      }
    }
    this.last = arrival;
    this.received += 1;
  }

  get lostNow(): number {
    return this.highest - this.lowest + 1 - this.received;
  }
}

function measured(arrivals: readonly Arrival[], rate: number) {
  const words = new Int32Array(table.LINE_WORDS);
  const statistics = new StreamStatistics(words);
  for (const { ssrc, sequence, timestamp, atMs } of arrivals) {
    statistics.receive(0, ssrc, sequence, timestamp, rate, atMs);
  }
  return {
    lowest: words[table.LINE_LOWEST],
    highest: words[table.LINE_HIGHEST],
    received: words[table.LINE_RECEIVED],
    lostBefore: words[table.LINE_LOST_BEFORE],
    jitter: words[table.LINE_JITTER],
    changes: words[table.LINE_SOURCE_CHANGES],
  };
}

/** A stream of 20 ms packets, some lost, doubled, late or changed. */
const streams = fc
  .record({
    start: fc.integer({ min: 0, max: 65_535 }),
    timestamp: fc.integer(),
    atMs: fc.integer(),
    steps: fc.array(
      fc.record({
        fate: fc.constantFrom('sent', 'sent', 'sent', 'sent', 'lost', 'doubled', 'late', 'jump'),
        lateMs: fc.integer({ min: 0, max: 60 }),
        by: fc.integer({ min: 0, max: 65_535 }),
        ssrc: fc.constantFrom(0, 0, 0, 0, 0, 1),
      }),
      { maxLength: 200 },
    ),
  })
  .map(({ start, timestamp, atMs, steps }) => {
    const arrivals: Arrival[] = [];
    let sequence = start;
    let ssrc = 7;
    steps.forEach(({ fate, lateMs, by, ssrc: change }, i) => {
      sequence = (sequence + 1) & 0xffff;
      if (fate === 'jump') sequence = by;
      ssrc += change;
      const arrival = {
        ssrc,
        sequence,
        timestamp: (timestamp + i * 160) | 0,
        atMs: (atMs + i * 20 + lateMs) | 0,
      };
      if (fate === 'lost') return;
      arrivals.push(arrival);
      if (fate === 'doubled') arrivals.push(arrival);
      const before = arrivals.length - 2;
      if (fate === 'late' && before >= 0) arrivals.splice(before, 0, arrivals.pop() as Arrival);
    });
    return arrivals;
  });

/** The same stream in a capture file, and what tshark says of it. */
function tsharkFigures(arrivals: readonly Arrival[]) {
  const file = join(makeScratchFolder('rtp'), 'stream.pcap');
  const { sink, close } = pcapFileSink(file);
  const writer = new PcapWriter(sink);
  for (const { ssrc, sequence, timestamp, atMs } of arrivals) {
    const frame = packet()
      .ethernet({})
      .ipv4({ source: '192.0.2.10', destination: '10.1.0.1' })
      .udp({ sourcePort: 4000, destinationPort: 30_000 })
      .payload(rtp({ ssrc, sequence, timestamp }))
      .bytes();
    writer.write(frame, 0, frame.length, atMs);
  }
  writer.flush();
  close();
  const decodeAs = ['-d', 'udp.port==30000,rtp'];
  const { stdout } = execute('tshark', ['-r', file, '-n', ...decodeAs, '-q', '-z', 'rtp,streams']);
  const row = stdout.split('\n').find((line) => line.includes('192.0.2.10')) ?? '';
  const [, packets, lost] = /g711A\s+(\d+)\s+(-?\d+) \(/.exec(row) ?? [];
  const numbers = row.slice(row.indexOf('%')).match(/[\d.]+/g) ?? [];
  return { packets: Number(packets), lost: Number(lost), mostJitterMs: Number(numbers[5]) };
}

describe('the statistics of a stream', () => {
  it('are those of RFC 3550, whatever comes', () => {
    fc.assert(
      fc.property(streams, fc.constantFrom(8000, 16_000, 48_000, 90_000, 11_025), (all, rate) => {
        // The reference has no clock that wraps.
        const arrivals = all.filter((a) => Math.abs(a.atMs) < 2 ** 31 - 100_000);
        const reference = new Reference(rate);
        for (const arrival of arrivals) reference.receive(arrival);
        const { lowest, highest, received, lostBefore, jitter } = measured(arrivals, rate);
        expect({ lowest, highest, received, lostBefore, jitter }).toEqual({
          lowest: reference.lowest,
          highest: reference.highest,
          received: reference.received,
          lostBefore: reference.lostBefore,
          jitter: reference.jitter,
        });
      }),
      { numRuns: 3000 },
    );
  });

  it('count through the wrap of sequence numbers, clock and timestamps', () => {
    const arrivals = Array.from({ length: 100 }, (_, i) => ({
      ssrc: 1,
      sequence: (65_500 + i) & 0xffff,
      timestamp: (0x7fff_ff00 + i * 160) | 0,
      atMs: (0x7fff_fff0 + i * 20) | 0,
    })).filter((_, i) => i !== 36);
    expect(measured(arrivals, 8000)).toMatchObject({
      lowest: 65_500,
      highest: 65_599,
      received: 99,
      jitter: 0,
    });
  });

  it('find the jitter of a known stream', () => {
    // Every second packet comes 10 ms late: |D| is 80 units each time, so that J goes to 80.
    const arrivals = Array.from({ length: 400 }, (_, i) => {
      return { ssrc: 1, sequence: i, timestamp: i * 160, atMs: i * 20 + (i % 2) * 10 };
    });
    const { jitter } = measured(arrivals, 8000);
    expect(jitter / 16).toBeGreaterThan(79);
    expect(jitter / 16).toBeLessThan(81);
  });

  it.skipIf(findProgram('tshark') === undefined)('are those that tshark finds', () => {
    // 20 ms packets, up to 24 ms late, one of 25 lost, some in the wrong order, the numbers going round.
    let random = 7;
    const arrivals: Arrival[] = [];
    for (let i = 0; i < 600; i += 1) {
      random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      if (i % 25 === 13) continue;
      const sequence = (65_300 + i) & 0xffff;
      arrivals.push({
        ssrc: 7,
        sequence,
        timestamp: i * 160,
        atMs: i * 20 + ((random >> 16) % 25),
      });
    }
    arrivals.sort((a, b) => a.atMs - b.atMs);
    const words = new Int32Array(table.LINE_WORDS);
    const statistics = new StreamStatistics(words);
    for (const { ssrc, sequence, timestamp, atMs } of arrivals) {
      statistics.receive(0, ssrc, sequence, timestamp, 8000, atMs);
    }
    const received = words[table.LINE_RECEIVED];
    const expected = words[table.LINE_HIGHEST] - words[table.LINE_LOWEST] + 1;
    const theirs = tsharkFigures(arrivals);
    expect({ received, lost: expected - received }).toEqual({
      received: theirs.packets,
      lost: theirs.lost,
    });
    // Sixteenths of 125 microseconds, rounded, against floating point.
    expect(words[table.LINE_MOST_JITTER] / 16 / 8).toBeCloseTo(theirs.mostJitterMs, 1);
  });

  it('take two in a row after a jump for another beginning, and keep what was lost before', () => {
    const sequences = [1, 2, 4, 30_000, 30_001, 30_002];
    const arrivals = sequences.map((sequence, i) => {
      return { ssrc: 1, sequence, timestamp: i * 160, atMs: i * 20 };
    });
    expect(measured(arrivals, 8000)).toMatchObject({
      lowest: 30_001,
      highest: 30_002,
      received: 2,
      lostBefore: 1,
      changes: 0,
    });
  });
});
