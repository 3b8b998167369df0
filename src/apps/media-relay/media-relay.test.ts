import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainChecksum } from '../../../test/support/bytes.ts';
import { packet } from '../../../test/support/packet-builder.ts';
import {
  ALICE,
  ALICE_RTCP,
  BOB,
  BOB_RTCP,
  EXTERNAL,
  INTERNAL,
  RELAY_SETTINGS,
  RelayBench,
  rtcp,
  rtp,
  STRANGER,
  withCall,
} from '../../../test/support/relay-bench.ts';
import * as table from '../../tables/media-relay-table.ts';
import * as checksum from '../../wire/checksum.ts';
import type { Match, Options } from '../contract.ts';
import { createMediaRelay } from './media-relay.ts';

describe('the media relay', () => {
  it('sends a literal packet on from its other port, the payload untouched', () => {
    const { bench, toA, toB } = withCall();
    const relayed = bench.send({ from: ALICE, to: toA, payload: rtp() });
    expect(relayed).toMatchObject({ from: toB, to: BOB });
    const [, port] = toB.split(':');
    const wanted = packet()
      .ethernet({})
      .ipv4({ source: INTERNAL, destination: '198.51.100.20', timeToLive: 64 })
      .udp({ sourcePort: Number(port), destinationPort: 6000 })
      .payload(rtp())
      .bytes();
    expect(Buffer.from(relayed!.bytes).toString('hex')).toBe(Buffer.from(wanted).toString('hex'));
  });

  it('relays both ways, RTP and RTCP each to its own port', () => {
    const { bench, toA, toB, toARtcp, toBRtcp } = withCall();
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({
      from: toA,
      to: ALICE,
    });
    expect(bench.send({ from: ALICE_RTCP, to: toARtcp, payload: rtcp() })).toMatchObject({
      from: toBRtcp,
      to: BOB_RTCP,
    });
    expect(bench.send({ from: BOB_RTCP, to: toBRtcp, payload: rtcp() })).toMatchObject({
      from: toARtcp,
      to: ALICE_RTCP,
    });
  });

  it('leaves a datagram without checksum without one', () => {
    const { bench, toA } = withCall();
    const relayed = bench.send({ from: ALICE, to: toA, payload: rtp() }, { checksum: 0 });
    expect(relayed!.bytes.slice(40, 42)).toEqual(new Uint8Array([0, 0]));
  });

  it('drops what belongs to no call, and counts it', () => {
    const { bench, toA } = withCall();
    const [, port] = toA.split(':');
    expect(bench.send({ from: ALICE, to: `${INTERNAL}:${port}`, payload: rtp() })).toBeUndefined();
    const free = Number(port) === 30_000 ? 30_002 : 30_000;
    expect(bench.send({ from: ALICE, to: `${EXTERNAL}:${free}`, payload: rtp() })).toBeUndefined();
    expect(bench.send({ from: ALICE, to: `${EXTERNAL}:29998`, payload: rtp() })).toBeUndefined();
    expect(bench.send({ from: ALICE, to: `${EXTERNAL}:65535`, payload: rtp() })).toBeUndefined();
    expect(bench.counts.get('to a port without call')).toBe(4);
  });

  it.each([
    ['empty', new Uint8Array(0)],
    ['11 bytes of RTP', rtp().subarray(0, 11)],
    ['another version', Buffer.from(rtp()).fill(0x40, 0, 1)],
    ['STUN', Buffer.from('000100002112a442aabbccddeeff001122334455', 'hex')],
    ['DTLS where none was signalled', Buffer.alloc(60, 22)],
  ])('drops what is no media: %s', (_, payload) => {
    const { bench, toA, call } = withCall();
    expect(bench.send({ from: ALICE, to: toA, payload })).toBeUndefined();
    expect(bench.counts.get('no media')).toBe(1);
    expect(bench.calls.report(call.media[0].legs[0])).toMatchObject({ noMedia: 1, rtpPackets: 0 });
  });

  it('does not take RTP on the port of RTCP', () => {
    const { bench, toARtcp } = withCall();
    expect(bench.send({ from: ALICE_RTCP, to: toARtcp, payload: rtp() })).toBeUndefined();
  });

  it('drops what it has nobody to send to', () => {
    const bench = new RelayBench();
    const { legs, ports } = bench.open();
    bench.expect(legs[0], ALICE);
    expect(
      bench.send({ from: ALICE, to: `${EXTERNAL}:${ports[0]}`, payload: rtp() }),
    ).toBeUndefined();
    expect(bench.counts.get('other party unknown')).toBe(1);
    // Bob speaks first: now it is known where he is.
    bench.send({ from: BOB, to: `${INTERNAL}:${ports[1]}`, payload: rtp() });
    expect(
      bench.send({ from: ALICE, to: `${EXTERNAL}:${ports[0]}`, payload: rtp() }),
    ).toMatchObject({ to: BOB });
  });

  it('relays no more once the call has ended', () => {
    const { bench, call, toA } = withCall();
    bench.calls.end(call, bench.nowMs);
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeUndefined();
  });

  it('relays fax over UDPTL, whatever its bytes', () => {
    const { bench, toA, toB } = withCall({}, table.FLAG_UDPTL);
    const payload = Buffer.from('000106c0018000ff', 'hex');
    expect(bench.send({ from: ALICE, to: toA, payload })).toMatchObject({ from: toB, to: BOB });
    expect(bench.send({ from: ALICE, to: toA, payload: Buffer.alloc(3) })).toBeUndefined();
  });

  it('relays DTLS where it was signalled', () => {
    const { bench, toA } = withCall({}, table.FLAG_DTLS);
    expect(bench.send({ from: ALICE, to: toA, payload: Buffer.alloc(60, 22) })).toMatchObject({
      to: BOB,
    });
  });

  it('takes RTCP apart from RTP where one party has them on one port', () => {
    const { bench, legs, toA, toB, toBRtcp } = withCall();
    bench.expect(legs[0], ALICE, { flags: table.FLAG_RTCP_MUX });
    expect(bench.send({ from: ALICE, to: toA, payload: rtcp() })).toMatchObject({
      from: toBRtcp,
      to: BOB_RTCP,
    });
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toMatchObject({
      from: toB,
      to: BOB,
    });
    expect(bench.send({ from: BOB_RTCP, to: toBRtcp, payload: rtcp() })).toMatchObject({
      from: toA,
      to: ALICE,
    });
  });

  it('passes through a second call of its own without leaving the processor', () => {
    const bench = new RelayBench();
    const [one, two] = [bench.open(), bench.open()];
    bench.expect(one.legs[0], ALICE);
    bench.expect(one.legs[1], `${EXTERNAL}:${two.ports[0]}`);
    bench.expect(two.legs[0], `${INTERNAL}:${one.ports[1]}`);
    bench.expect(two.legs[1], BOB);
    const to = `${EXTERNAL}:${one.ports[0]}`;
    expect(bench.send({ from: ALICE, to, payload: rtp() })).toMatchObject({
      from: `${INTERNAL}:${two.ports[1]}`,
      to: BOB,
    });
  });

  it('drops what goes round in a circle', () => {
    const bench = new RelayBench();
    const { legs, ports } = bench.open();
    bench.expect(legs[0], ALICE);
    bench.expect(legs[1], `${EXTERNAL}:${ports[0]}`);
    const to = `${EXTERNAL}:${ports[0]}`;
    expect(bench.send({ from: ALICE, to, payload: rtp() })).toBeUndefined();
  });

  it('wants the packets to its addresses and ports', () => {
    const { match } = createMediaRelay();
    const matches = (options: Options) => (match as (options: Options) => Match[])(options);
    const { interfaces } = RELAY_SETTINGS;
    expect(matches({ interfaces, ports: '30000-39999' })).toEqual([
      { protocol: 'udp', address: EXTERNAL, port: [30_000, 39_999] },
      { protocol: 'udp', address: INTERNAL, port: [30_000, 39_999] },
    ]);
    expect(() => matches({ ports: '30000-39999' })).toThrow(/interfaces/);
    expect(() => matches({ interfaces, ports: 30_000 })).toThrow(/ports/);
  });
});

describe('any datagram', () => {
  it('is dropped, or leaves with right checksums and its payload as it was', () => {
    const { bench, legs, toA, toB, toARtcp, toBRtcp } = withCall({ ssrcGuardMs: 50 }, 0, 2);
    const sources = fc.constantFrom(ALICE, ALICE_RTCP, BOB, BOB_RTCP, STRANGER);
    const flags = fc.integer({ min: 0, max: 127 });
    fc.assert(
      fc.property(
        sources,
        fc.constantFrom(toA, toB, toARtcp, toBRtcp),
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(undefined, 0x80, 0x90, 20),
        flags,
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 0, max: 2000 }),
        (from, to, bytes, first, legFlags, processor, passedMs) => {
          bench.nowMs = (bench.nowMs + passedMs) | 0;
          bench.expect(legs[processor], '', { flags: legFlags });
          const payload = Uint8Array.from(bytes);
          if (first !== undefined && payload.length > 0) payload[0] = first;
          const relayed = bench.send({ from, to, payload }, {}, processor);
          if (relayed === undefined) return;
          expect(Buffer.from(relayed.payload).equals(Buffer.from(payload))).toBe(true);
          expect(plainChecksum(relayed.bytes.slice(14, 34))).toBe(0);
          const view = new DataView(relayed.bytes.buffer);
          const length = view.getUint16(38);
          expect(checksum.transportChecksumIsValid(view, 14, 34, length, 17)).toBe(true);
          expect([ALICE, ALICE_RTCP, BOB, BOB_RTCP, STRANGER]).toContain(relayed.to);
          expect([toA, toB, toARtcp, toBRtcp]).toContain(relayed.from);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('does no harm with any table', () => {
    const { bench, toA, toB } = withCall({}, 0, 2);
    const start = bench.legs.relayTable.leg(0);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20_000), fc.integer()), { maxLength: 30 }), (writes) => {
        for (const [at, value] of writes) bench.words[at] = value;
        for (const [at, value] of writes) bench.words[start + (at % 200)] = value;
        for (const to of [toA, toB]) bench.send({ from: ALICE, to, payload: rtp() });
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a warm relay', () => {
  it('makes no garbage', () => {
    const { bench, toA, toB } = withCall();
    bench.send({ from: BOB, to: toB, payload: rtp() });
    const datagram = { from: ALICE, to: toA, payload: rtp() };
    // V8 compiles again and again until it has seen everything.
    for (let i = 0; i < 5; i += 1) bench.spin(datagram, 200_000);
    const counted = bench.counts.size;
    const before = process.memoryUsage().heapUsed;
    bench.spin(datagram, 400_000);
    const grown = process.memoryUsage().heapUsed - before;
    // One number object for each packet would be 6 MB, or a collection, after which the heap is smaller.
    expect(Math.abs(grown)).toBeLessThan(1_000_000);
    expect(bench.counts.size).toBe(counted);
  });
});
