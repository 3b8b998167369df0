// Goal: a frame that came in but fitted no chunk is received and dropped, once, for its reason.
// Method: the engine on a real loopback queue whose count of such frames is raised by hand.

import { describe, expect, it } from 'vitest';
import { Counters, readCounters } from '../memory/counters.ts';
import { FramePool } from '../memory/frame-pool.ts';
import { plainMainMemory } from '../memory/region.ts';
import { loopbackQueue } from '../netif/loopback.ts';
import type { Applications } from './applications.ts';
import { PacketEngine } from './packet-engine.ts';
import type { PacketFilter } from './packet-filter.ts';

describe('PacketEngine', () => {
  it('counts frames that were too long for a chunk', () => {
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    const pool = new FramePool(memory, 0);
    pool.recover([]);
    const queue = loopbackQueue({ memory, pool, socket: 0 });
    const filter = {} as PacketFilter;
    const own = [{ interfaceNumber: 5, queue }];
    const applications = { isInUse: false } as Applications;
    const engine = new PacketEngine(own, filter, new Counters(memory, 0), applications);
    const truncate = (count: number): void => {
      (queue as { truncatedCount: number }).truncatedCount += count;
    };
    engine.pollAll(0);
    truncate(3);
    engine.pollAll(0);
    engine.pollAll(0);
    truncate(1);
    engine.pollAll(0);
    const { single, verdicts, reasons, interfaces } = readCounters(memory, 0);
    expect(reasons['frame-too-long']).toBe(4);
    expect(verdicts.dropped).toBe(4);
    expect(single.received).toBe(4);
    expect(interfaces[5].receivedPackets).toBe(4);
  });
});
