import { describe, expect, it } from 'vitest';
import {
  ALICE,
  ALICE_RTCP,
  BOB,
  BOB_RTCP,
  rtcp,
  rtp,
  STRANGER,
  withCall,
} from '../../../test/support/relay-bench.ts';
import * as table from '../../tables/media-relay-table.ts';

describe('learning where a party is', () => {
  it('sends to where packets come from, not to where signalling says', () => {
    const { bench, toA, toB } = withCall();
    const natted = '203.0.113.5:51000';
    bench.send({ from: natted, to: toA, payload: rtp() });
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: natted });
  });

  it('sends an asymmetric party to where signalling says', () => {
    const { bench, toA, toB } = withCall({}, table.FLAG_ASYMMETRIC);
    bench.send({ from: '203.0.113.5:51000', to: toA, payload: rtp() });
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: ALICE });
  });

  it('refuses a stranger once the party is known, and counts him', () => {
    const { bench, toA, toB, call } = withCall();
    bench.send({ from: ALICE, to: toA, payload: rtp() });
    expect(bench.send({ from: STRANGER, to: toA, payload: rtp() })).toBeUndefined();
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: ALICE });
    expect(bench.counts.get('strangers refused')).toBe(1);
    expect(bench.calls.report(call.media[0].legs[0])).toMatchObject({
      strangers: 1,
      rtpPackets: 1,
    });
  });

  it('lets the party win over a stranger who was faster, within the window', () => {
    const { bench, toA, toB } = withCall();
    bench.send({ from: STRANGER, to: toA, payload: rtp() });
    bench.nowMs += 3000;
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeDefined();
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: ALICE });
    // And not the other way round.
    expect(bench.send({ from: STRANGER, to: toA, payload: rtp() })).toBeUndefined();
  });

  it('takes the right address with another port for better than none', () => {
    const { bench, toA, toB } = withCall();
    bench.send({ from: STRANGER, to: toA, payload: rtp() });
    bench.send({ from: '192.0.2.10:4002', to: toA, payload: rtp() });
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({
      to: '192.0.2.10:4002',
    });
    bench.send({ from: ALICE, to: toA, payload: rtp() });
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: ALICE });
  });

  it('changes nothing after the window', () => {
    const { bench, toA } = withCall();
    bench.send({ from: '192.0.2.10:4002', to: toA, payload: rtp() });
    bench.nowMs += 3001;
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeUndefined();
  });

  it('lets no stranger shut the party out by being early, however long before', () => {
    const { bench, toA, toB, toARtcp, toBRtcp } = withCall();
    bench.send({ from: STRANGER, to: toA, payload: rtp() });
    bench.send({ from: STRANGER, to: toARtcp, payload: rtcp() });
    bench.nowMs += 30_000;
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeDefined();
    expect(bench.send({ from: ALICE_RTCP, to: toARtcp, payload: rtcp() })).toBeDefined();
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: ALICE });
    const report = { from: BOB_RTCP, to: toBRtcp, payload: rtcp() };
    expect(bench.send(report)).toMatchObject({ to: ALICE_RTCP });
    expect(bench.send({ from: STRANGER, to: toA, payload: rtp() })).toBeUndefined();
    expect(bench.send({ from: STRANGER, to: toARtcp, payload: rtcp() })).toBeUndefined();
  });

  it('does not count the numbers of who was not the party', () => {
    const { bench, toA, call } = withCall();
    for (const sequence of [1, 50, 100, 3]) {
      bench.send({ from: STRANGER, to: toA, payload: rtp({ sequence, ssrc: 6 }) });
      bench.nowMs += 7;
    }
    for (const sequence of [900, 902]) {
      const payload = rtp({ sequence, timestamp: sequence * 160 });
      bench.send({ from: ALICE, to: toA, payload });
      bench.nowMs += 40;
    }
    const figures = { lost: 1, ssrcChanges: 0, jitterMs: 0, mostJitterMs: 0 };
    expect(bench.calls.report(call.media[0].legs[0])).toMatchObject(figures);
  });

  it('takes nothing at a port that the party has not been told', () => {
    const { bench, legs, toA } = withCall();
    bench.expect(legs[0], ALICE, { flags: table.FLAG_UNTOLD });
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeUndefined();
    expect(bench.counts.get('strangers refused')).toBe(1);
    bench.expect(legs[0], ALICE);
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeDefined();
  });

  it('knows a party behind a NAT by where its signalling comes from', () => {
    const { bench, legs, toA, toB, toARtcp } = withCall();
    const nat = '203.0.113.5';
    bench.expect(legs[0], ALICE, { signalling: nat });
    bench.send({ from: STRANGER, to: toA, payload: rtp() });
    bench.send({ from: STRANGER, to: toARtcp, payload: rtcp() });
    bench.nowMs += 30_000;
    expect(bench.send({ from: `${nat}:51000`, to: toA, payload: rtp() })).toBeDefined();
    expect(bench.send({ from: `${nat}:51001`, to: toARtcp, payload: rtcp() })).toBeDefined();
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({
      to: `${nat}:51000`,
    });
    bench.nowMs += 30_000;
    // Whoever forges what a private network's description says comes too late.
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeUndefined();
  });

  it('begins anew when signalling comes from elsewhere, unless the party is where it said', () => {
    const { bench, legs, toA } = withCall();
    const [nat, other] = ['203.0.113.5', '203.0.113.9'];
    bench.expect(legs[0], ALICE, { signalling: nat });
    bench.send({ from: `${nat}:51000`, to: toA, payload: rtp() });
    bench.nowMs += 30_000;
    expect(bench.send({ from: `${other}:51000`, to: toA, payload: rtp() })).toBeUndefined();
    bench.expect(legs[0], ALICE, { signalling: other });
    expect(bench.send({ from: `${other}:51000`, to: toA, payload: rtp() })).toBeDefined();

    const said = withCall();
    said.bench.expect(said.legs[0], ALICE, { signalling: nat });
    said.bench.send({ from: ALICE, to: said.toA, payload: rtp() });
    said.bench.expect(said.legs[0], ALICE, { signalling: other });
    const stranger = { from: `${other}:51000`, to: said.toA, payload: rtp() };
    expect(said.bench.send(stranger)).toBeUndefined();
  });

  it('begins anew when signalling expects the party elsewhere, and only then', () => {
    const { bench, legs, toA } = withCall();
    bench.send({ from: ALICE, to: toA, payload: rtp() });
    bench.expect(legs[0], ALICE);
    expect(bench.send({ from: STRANGER, to: toA, payload: rtp() })).toBeUndefined();
    bench.expect(legs[0], '192.0.2.77:5000');
    expect(bench.send({ from: '192.0.2.77:5000', to: toA, payload: rtp() })).toBeDefined();
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeUndefined();
  });

  it('refuses who is not at the signalled address, where that is strict', () => {
    const { bench, toA } = withCall({}, table.FLAG_STRICT);
    expect(bench.send({ from: STRANGER, to: toA, payload: rtp() })).toBeUndefined();
    expect(bench.send({ from: ALICE, to: toA, payload: rtp() })).toBeDefined();
  });

  it('follows a party that may move, by its SSRC and sequence numbers', () => {
    const { bench, toA, toB } = withCall({}, table.FLAG_HANDOVER);
    bench.send({ from: ALICE, to: toA, payload: rtp({ sequence: 65_534 }) });
    bench.nowMs += 10_000;
    const moved = '203.0.113.9:9000';
    const other = rtp({ sequence: 65_535, ssrc: 1 });
    expect(bench.send({ from: moved, to: toA, payload: other })).toBeUndefined();
    const far = rtp({ sequence: 5000 });
    expect(bench.send({ from: moved, to: toA, payload: far })).toBeUndefined();
    expect(bench.send({ from: moved, to: toA, payload: rtp({ sequence: 2 }) })).toBeDefined();
    expect(bench.send({ from: BOB, to: toB, payload: rtp() })).toMatchObject({ to: moved });
  });

  it('follows with RTCP, too, and nobody where the place is strict', () => {
    const { bench, legs, toA, toARtcp } = withCall({}, table.FLAG_HANDOVER);
    bench.send({ from: ALICE, to: toA, payload: rtp({ sequence: 1 }) });
    bench.send({ from: ALICE_RTCP, to: toARtcp, payload: rtcp() });
    bench.nowMs += 10_000;
    const moved = '203.0.113.9';
    const report = { from: `${moved}:9001`, to: toARtcp, payload: rtcp() };
    expect(bench.send(report)).toBeUndefined();
    bench.send({ from: `${moved}:9000`, to: toA, payload: rtp({ sequence: 2 }) });
    expect(bench.send(report)).toBeDefined();

    bench.expect(legs[0], '', { flags: table.FLAG_HANDOVER | table.FLAG_STRICT });
    const third = { from: '203.0.113.10:9000', to: toA, payload: rtp({ sequence: 3 }) };
    expect(bench.send(third)).toBeUndefined();
  });

  it('does not follow a fax, which has no SSRC to be known by', () => {
    const flags = table.FLAG_HANDOVER | table.FLAG_UDPTL;
    const { bench, toA } = withCall({}, flags);
    const packet = (sequence: number) => Buffer.from([sequence >> 8, sequence & 255, 1, 6, 0]);
    bench.send({ from: ALICE, to: toA, payload: packet(1) });
    bench.nowMs += 10_000;
    expect(bench.send({ from: STRANGER, to: toA, payload: packet(2) })).toBeUndefined();
    expect(bench.send({ from: ALICE, to: toA, payload: packet(2) })).toBeDefined();
  });

  it('takes another SSRC from the right address, or only after silence where that is guarded', () => {
    const free = withCall();
    free.bench.send({ from: ALICE, to: free.toA, payload: rtp() });
    expect(free.bench.send({ from: ALICE, to: free.toA, payload: rtp({ ssrc: 9 }) })).toBeDefined();

    const { bench, toA } = withCall({ ssrcGuardMs: 100 });
    bench.send({ from: ALICE, to: toA, payload: rtp() });
    bench.nowMs += 99;
    expect(bench.send({ from: ALICE, to: toA, payload: rtp({ ssrc: 9 }) })).toBeUndefined();
    bench.nowMs += 1;
    expect(bench.send({ from: ALICE, to: toA, payload: rtp({ ssrc: 9 }) })).toBeDefined();
    bench.nowMs += 1;
    expect(bench.send({ from: ALICE, to: toA, payload: rtp({ ssrc: 9 }) })).toBeDefined();
  });

  it('believes RTCP from where RTP comes from, before a stranger', () => {
    const { bench, toA, toARtcp, toBRtcp } = withCall();
    const natted = '203.0.113.5';
    bench.send({ from: `${natted}:51000`, to: toA, payload: rtp() });
    bench.send({ from: STRANGER, to: toARtcp, payload: rtcp() });
    expect(bench.send({ from: `${natted}:51007`, to: toARtcp, payload: rtcp() })).toBeDefined();
    expect(bench.send({ from: BOB_RTCP, to: toBRtcp, payload: rtcp() })).toMatchObject({
      to: `${natted}:51007`,
    });
  });

  it('is one for all processors', () => {
    const { bench, toA, toB, legs } = withCall({}, 0, 3);
    const natted = '203.0.113.5:51000';
    bench.send({ from: natted, to: toA, payload: rtp({ sequence: 1 }) }, {}, 2);
    expect(bench.send({ from: BOB, to: toB, payload: rtp() }, {}, 0)).toMatchObject({ to: natted });
    expect(bench.send({ from: STRANGER, to: toA, payload: rtp() }, {}, 1)).toBeUndefined();
    bench.send({ from: natted, to: toA, payload: rtp({ sequence: 2 }) }, {}, 1);
    bench.send({ from: natted, to: toA, payload: rtp({ sequence: 4 }) }, {}, 0);
    expect(bench.calls.report(legs[0])).toMatchObject({ rtpPackets: 3, lost: 1, strangers: 1 });
    // The party wins over the stranger that another processor has learned.
    bench.send({ from: ALICE, to: toA, payload: rtp({ sequence: 5 }) }, {}, 1);
    expect(bench.send({ from: BOB, to: toB, payload: rtp() }, {}, 0)).toMatchObject({ to: ALICE });
  });
});
