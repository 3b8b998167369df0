import { describe, expect, it } from 'vitest';
import {
  EXTERNAL,
  INTERNAL,
  RELAY_SETTINGS,
  RelayBench,
  rtp,
} from '../../test/support/relay-bench.ts';
import * as table from '../tables/media-relay-table.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { Calls } from './calls.ts';
import { Legs, REST_MS } from './legs.ts';
import type { RelaySettings } from './settings.ts';

const ADDRESSES = [parseAddress(EXTERNAL), parseAddress(INTERNAL)] as const;

/** The control processor that comes after another one. */
function successor(
  bench: RelayBench,
  settings: Partial<RelaySettings> = {},
  processors = 1,
): Calls {
  const all = { ...RELAY_SETTINGS, ...settings };
  const calls = new Calls(new Legs(bench.words, processors, all), all);
  calls.begin(bench.nowMs);
  return calls;
}

describe('a new control processor', () => {
  it('finds the calls of the one before, by name, with all media', () => {
    const bench = new RelayBench();
    const { calls } = bench;
    const one = calls.create('one@example.org', 'tag-a', undefined, bench.nowMs);
    calls.addMedia(one, ADDRESSES, bench.nowMs);
    calls.addMedia(one, ADDRESSES, bench.nowMs);
    calls.setTag(one, 1, 'tag-b');
    const two = calls.create('two@example.org', 'x', undefined, bench.nowMs + 5);
    calls.addMedia(two, ADDRESSES, bench.nowMs + 5);
    const after = successor(bench);
    expect(after.size).toBe(2);
    const [found] = after.of('one@example.org');
    expect(found).toMatchObject({ tags: ['tag-a', 'tag-b'], createdMs: bench.nowMs });
    expect(found.media.map(({ legs }) => legs)).toEqual(one.media.map(({ legs }) => legs));
    expect(after.of('two@example.org')[0].tags).toEqual(['x', undefined]);
    after.end(found, bench.nowMs);
    expect(successor(bench).size).toBe(1);
  });

  it('goes on relaying meanwhile, and leaves legs in use alone', () => {
    const bench = new RelayBench();
    const { legs, ports } = bench.open();
    bench.expect(legs[0], '192.0.2.1:4000');
    bench.expect(legs[1], '192.0.2.2:4000');
    successor(bench);
    const sent = { from: '192.0.2.1:4000', to: `${EXTERNAL}:${ports[0]}`, payload: rtp() };
    expect(bench.send(sent)).toMatchObject({ to: '192.0.2.2:4000' });
    const after = successor(bench, { firstPort: 30_000, lastPort: 39_999 });
    const call = after.create('new', 'a', undefined, bench.nowMs);
    for (let i = 0; i < 100; i += 1) after.addMedia(call, ADDRESSES, bench.nowMs);
    expect(call.media.flatMap((m) => m.legs)).not.toContain(legs[0]);
  });

  it('keeps a call whose names are too long until its timeout', () => {
    const bench = new RelayBench();
    const { calls } = bench;
    const call = calls.create('x'.repeat(200), 'a', 'b', bench.nowMs);
    calls.addMedia(call, ADDRESSES, bench.nowMs);
    const after = successor(bench);
    expect(after.size).toBe(1);
    expect(after.of('x'.repeat(200))).toEqual([]);
    bench.nowMs += 60_000;
    expect(after.expire(bench.nowMs)).toBe(1);
  });

  it('frees half a call', () => {
    const bench = new RelayBench();
    const { legs } = bench.open();
    bench.legs.close(legs[1], bench.nowMs);
    expect(successor(bench).size).toBe(0);
    expect(bench.legs.word(legs[0], table.LEG_STATE)).toBe(table.STATE_FREE);
  });

  it('begins with nothing where ports or processors are others', () => {
    for (const [settings, processors] of [
      [{ firstPort: 31_000 }, 1],
      [{ lastPort: 31_001 }, 1],
      [{}, 2],
    ] as const) {
      const bench = new RelayBench();
      bench.open();
      expect(successor(bench, settings, processors).size).toBe(0);
    }
  });
});

describe('ports', () => {
  it('are each given out once, and come back after a rest', () => {
    const bench = new RelayBench({ firstPort: 30_001, lastPort: 30_041 });
    const { calls } = bench;
    expect(bench.legs.count).toBe(20);
    const call = calls.create('c', 'a', 'b', bench.nowMs);
    for (let i = 0; i < 10; i += 1) calls.addMedia(call, ADDRESSES, bench.nowMs);
    const ports = call.media.flatMap(({ legs }) => legs.map((leg) => bench.legs.portOf(leg)));
    expect([...ports].sort()).toEqual(Array.from({ length: 20 }, (_, i) => 30_002 + i * 2));
    expect(ports).not.toEqual([...ports].sort());
    const other = calls.create('d', 'a', 'b', bench.nowMs);
    expect(() => calls.addMedia(other, ADDRESSES, bench.nowMs)).toThrow(/Ran out of ports/);
    calls.end(call, bench.nowMs);
    bench.nowMs += REST_MS - 1;
    expect(() => calls.addMedia(other, ADDRESSES, bench.nowMs)).toThrow(/Ran out of ports/);
    bench.nowMs += 1;
    calls.addMedia(other, ADDRESSES, bench.nowMs);
  });

  it('are as many as the table has room for', () => {
    const everything = { firstPort: 1024, lastPort: 65_535 };
    expect(new RelayBench(everything, 1).legs.count).toBe(2730);
    expect(new RelayBench(everything, 2).legs.count).toBe(1820);
    const most = new RelayBench(everything, 64);
    const { words, calls } = most;
    const call = calls.create('c', 'a', 'b', 0);
    while (call.media.length < Math.floor(most.legs.count / 2)) calls.addMedia(call, ADDRESSES, 0);
    expect(() => calls.addMedia(call, ADDRESSES, 0)).toThrow(/Ran out/);
    expect(words.length).toBe(262_144);
  });

  it('have nothing left of the call before', () => {
    const bench = new RelayBench({ lastPort: 30_003 });
    const first = bench.open();
    bench.expect(first.legs[0], '192.0.2.1:4000', { flags: table.FLAG_STRICT });
    bench.expect(first.legs[1], '192.0.2.2:4000');
    const to = `${EXTERNAL}:${first.ports[0]}`;
    bench.send({ from: '192.0.2.1:4000', to, payload: rtp() });
    bench.calls.end(first.call, bench.nowMs);
    bench.nowMs += REST_MS;
    const { call } = bench.open();
    for (const leg of call.media[0].legs) {
      expect(bench.calls.report(leg)).toMatchObject({ rtpPackets: 0, rtpSource: undefined });
      expect(bench.legs.word(leg, table.LEG_EXPECTED)).toBe(0);
      expect(bench.legs.word(leg, table.LEG_FLAGS)).toBe(0);
    }
  });
});

describe('a call', () => {
  it('ends when nothing is heard of it, and not before', () => {
    const bench = new RelayBench();
    const { legs, ports } = bench.open();
    bench.expect(legs[0], '192.0.2.1:4000');
    bench.expect(legs[1], '192.0.2.2:4000');
    bench.nowMs += 59_999;
    expect(bench.calls.expire(bench.nowMs)).toBe(0);
    const sent = { from: '192.0.2.1:4000', to: `${EXTERNAL}:${ports[0]}`, payload: rtp() };
    bench.send(sent);
    bench.nowMs += 59_999;
    expect(bench.calls.expire(bench.nowMs)).toBe(0);
    bench.nowMs += 1;
    expect(bench.calls.expire(bench.nowMs)).toBe(1);
    expect(bench.calls.size).toBe(0);
    expect(bench.send(sent)).toBeUndefined();
  });

  it('may be silent for long while it is on hold', () => {
    const bench = new RelayBench();
    const { legs } = bench.open();
    bench.expect(legs[0], '192.0.2.1:4000', { flags: table.FLAG_SILENT });
    bench.nowMs += 3_599_999;
    expect(bench.calls.expire(bench.nowMs)).toBe(0);
    bench.nowMs += 1;
    expect(bench.calls.expire(bench.nowMs)).toBe(1);
  });
});
