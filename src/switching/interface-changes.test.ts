// What happens to an interface while weir runs: it goes down with frames on their way to it, its MAC
// address is changed, its driver holds frames that no ring shows.

import { describe, expect, it } from 'vitest';
import { EXT, EXT_MAC, INT, SwitchBench } from '../../test/support/switch-bench.ts';
import { ACK, query, request, SYN } from '../../test/support/switch-packets.ts';
import { FramePool } from '../memory/frame-pool.ts';
import { INTERFACE_LINK_UP, INTERFACE_MAC_LOW } from '../memory/layout.ts';
import { plainMainMemory } from '../memory/region.ts';
import { LoopbackLane, LoopbackQueue } from '../netif/loopback.ts';
import { parseMacLow } from '../wire/ethernet.ts';
import { SwitchingProcessor } from './processor.ts';

describe('an interface that goes down', () => {
  it('keeps no frames back that were handed over', async () => {
    const bench = await SwitchBench.create({ queues: [[0], [1]], wire: 16 });
    for (let i = 0; i < 3; i++) {
      for (let n = 0; n < 16; n++) bench.inject(query(), EXT);
      bench.processors[0].turn(bench.now);
    }
    bench.processors[1].turn(bench.now);
    expect(bench.processors[1].heldCount()).toBe(32);
    bench.setInterface(INT, INTERFACE_LINK_UP, 0);
    bench.processors[1].turn(bench.now);
    expect(bench.processors[1].heldCount()).toBe(0);
    expect(bench.settle().length).toBe(16);
  });
});

describe('an interface whose MAC address is changed', () => {
  it('is reached at the new one, and says so', async () => {
    const bench = await SwitchBench.create();
    bench.setInterface(EXT, INTERFACE_MAC_LOW, parseMacLow('02:00:0a:01:00:99'));
    bench.advance(1);
    const announced = bench.collect().filter(({ egress }) => egress === EXT);
    expect(announced.length).toBeGreaterThan(0);
    for (const { bytes } of announced) expect(bytes[11]).toBe(0x99);
    expect(bench.pass(request(SYN)).reasons).toEqual(['not-for-us']);
    const atNewAddress = request(SYN).bytes();
    expect(EXT_MAC).toBe('02:00:0a:01:00:01');
    atNewAddress[5] = 0x99;
    expect(bench.pass(atNewAddress).reasons).toEqual(['new-connection']);
    expect(bench.pass(request(ACK)).reasons).toEqual(['not-for-us']);
  });
});

describe('frames that the kernel seems to hold after a kill', () => {
  it.each([
    { what: 'come back after a while', mayHoldFramesUnseen: false, back: 256 },
    { what: 'stay with a driver that may receive into them', mayHoldFramesUnseen: true, back: 255 },
  ])('$what', ({ mayHoldFramesUnseen, back }) => {
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    const before = new FramePool(memory, 0);
    before.recover([]);
    before.toInterface(before.take(), 7);
    const open = (pool: FramePool) =>
      Object.assign(
        new LoopbackQueue(memory, pool, 7, new LoopbackLane(16), new LoopbackLane(16)),
        { mayHoldFramesUnseen },
      );
    const queue = { interfaceNumber: 0, socketNumber: 7, open };
    const processor = new SwitchingProcessor(memory, 0, [queue], () => {}, 1000);
    expect(processor.pool.freeCount).toBe(255);
    processor.turn(4000);
    expect(processor.pool.freeCount).toBe(back);
  });
});
