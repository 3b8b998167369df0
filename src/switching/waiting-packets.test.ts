// Packets that wait for ARP: asked once, sent in order when the answer comes, dropped when none does,
// and never more of them than there are places.

import { describe, expect, it } from 'vitest';
import { packet } from '../../test/support/packet-builder.ts';
import { decodeFrame, expectSameFields } from '../../test/support/packet-fields.ts';
import {
  B1,
  B2,
  CLIENT,
  EXT,
  INT,
  INT_MAC,
  macOf,
  type Sent,
  SwitchBench,
  service,
} from '../../test/support/switch-bench.ts';
import { ACK, query, request, requestAtServer, SYN } from '../../test/support/switch-packets.ts';
import { readCounters } from '../memory/counters.ts';
import { CAPACITY, PER_NEIGHBOR } from './waiting-packets.ts';

const answerOf = (address: string) =>
  packet()
    .ethernet({ source: macOf(address), destination: INT_MAC })
    .arp({
      operation: 'reply',
      senderMac: macOf(address),
      senderAddress: address,
      targetMac: INT_MAC,
      targetAddress: '10.2.0.1',
    });
const strangers = () => SwitchBench.create({ known: [CLIENT] });
const questions = (sent: Sent[]) =>
  sent.flatMap(({ egress, bytes }) => {
    const { arp } = decodeFrame(bytes);
    return arp?.operation === 1 ? [`${egress} ${arp.senderAddress} → ${arp.targetAddress}`] : [];
  });
const held = (bench: SwitchBench) => readCounters(bench.memory).single.waiting;

describe('packets that wait for a neighbor', () => {
  it('are held while it is asked for, once, and then sent in order', async () => {
    const bench = await strangers();
    const first = bench.pass(request(SYN));
    expect(first.reasons).toEqual(['waiting']);
    expect(questions(first.sent)).toEqual([`${INT} 10.2.0.1 → ${B1}`]);
    const second = bench.pass(request({ ...ACK, sequence: 2 }));
    expect(second.reasons).toEqual(['waiting']);
    expect(second.sent).toEqual([]);
    const { reasons, sent } = bench.pass(answerOf(B1), INT);
    expect(reasons.sort()).toEqual(['arp-learned', 'connection', 'new-connection']);
    expect(sent.length).toBe(2);
    expectSameFields(sent[0].bytes, requestAtServer(SYN).bytes());
    expectSameFields(sent[1].bytes, requestAtServer({ ...ACK, sequence: 2 }).bytes());
    expect(held(bench)).toBe(0);
    expect(bench.pass(request(ACK)).sent.length).toBe(1);
  });

  it('are dropped when nobody answers three questions, a second apart', async () => {
    const bench = await strangers();
    const asked = questions(bench.pass(request(SYN)).sent);
    for (let i = 0; i < 3500; i++) {
      bench.advance(1);
      asked.push(...questions(bench.collect()));
    }
    expect(asked).toEqual(new Array(3).fill(`${INT} 10.2.0.1 → ${B1}`));
    expect(bench.count('neighbor-unresolved')).toBe(1);
    expect(held(bench)).toBe(0);
    bench.settle();
    expect(bench.pass(request(SYN)).reasons).toEqual(['neighbor-unresolved']);
  });

  it('are asked for again when the neighbor has been given up for a while', async () => {
    const bench = await strangers();
    bench.pass(request(SYN));
    for (let i = 0; i < 8000; i++) bench.advance(1);
    bench.settle();
    const { reasons, sent } = bench.pass(request(SYN));
    expect(reasons).toEqual(['waiting']);
    expect(questions(sent).length).toBe(1);
  });

  it('are bounded for each neighbor, and one silent server does not take from another', async () => {
    const bench = await strangers();
    const toFirst = () => bench.pass(query()).reasons[0];
    for (let i = 0; i < PER_NEIGHBOR; i++) expect(toFirst()).toBe('waiting');
    expect(toFirst()).toBe('waiting-full');
    expect(bench.pass(request({ ...SYN, sourcePort: 2 })).reasons).toEqual(['waiting-full']);
    const other = bench.pass(request({ ...SYN, sourcePort: 3 }));
    expect(other.reasons).toEqual(['waiting']);
    expect(questions(other.sent)).toEqual([`${INT} 10.2.0.1 → ${B2}`]);
    bench.pass(answerOf(B1), INT);
    expect(held(bench)).toBe(1);
  });

  it('are bounded in all', async () => {
    const servers = Array.from({ length: 20 }, (_, i) => `10.2.0.${100 + i}`);
    const backends = servers.map((address) => ({ name: address, address }));
    const bench = await SwitchBench.create({
      known: [CLIENT],
      frames: 1024,
      configuration: { services: [service('web', { backends })] },
    });
    for (let i = 0; i < 600; i++) {
      bench.inject(request({ ...SYN, sourcePort: 1000 + i }), EXT);
      bench.turn();
      bench.collect();
    }
    bench.settle();
    expect(held(bench)).toBe(CAPACITY);
    expect(bench.count('waiting-full')).toBe(600 - CAPACITY);
    for (const address of servers) {
      bench.inject(answerOf(address), INT);
      bench.turn();
      bench.collect();
    }
    bench.settle();
    expect(held(bench)).toBe(0);
    expect(bench.count('new-connection')).toBe(CAPACITY);
  });

  it('keep their own reasons when others leave before them', async () => {
    const bench = await strangers();
    bench.pass(request({ ...SYN, sourcePort: 1 }));
    bench.pass(request({ ...SYN, sourcePort: 2 }));
    bench.pass(request({ ...ACK, sourcePort: 2 }));
    expect(bench.pass(answerOf(B1), INT).reasons.sort()).toEqual(['arp-learned', 'new-connection']);
    const { reasons, sent } = bench.pass(answerOf(B2), INT);
    expect(reasons.sort()).toEqual(['arp-learned', 'connection', 'new-connection']);
    expect(sent.map(({ bytes }) => decodeFrame(bytes).tcp?.flags)).toEqual([['SYN'], ['ACK']]);
  });

  it('wait over the wrap of the clock', async () => {
    const bench = await SwitchBench.create({ known: [CLIENT], startMs: 0x7fffffff - 4500 });
    expect(bench.pass(request(SYN)).reasons).toEqual(['waiting']);
    bench.advance(1000);
    expect(held(bench)).toBe(1);
    expect(bench.pass(answerOf(B1), INT).reasons).toContain('new-connection');
  });
});
