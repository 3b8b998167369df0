// Goal: who does not know the seed cannot choose keys that fall into one bucket. Method: keys that
// collide under one seed are looked for and hashed under others.

import { describe, expect, it } from 'vitest';
import { HEADER_HASH_SEED } from '../memory/layout.ts';
import { plainMainMemory } from '../memory/region.ts';
import { ConnectionEpoch } from './connection-epoch.ts';
import { ConnectionIndex } from './connection-index.ts';

const SERVICE = 0x0a010064;
const TCP = 6;

function indexWith(seed: number) {
  const memory = plainMainMemory({ connections: 65536, frames: 256, processors: 1 });
  memory.setHeader(HEADER_HASH_SEED, seed);
  const mask = memory.layout.connectionBuckets - 1;
  const index = new ConnectionIndex(memory, new ConnectionEpoch(memory, 0));
  return (source: number, ports: number): number => index.hash(source, SERVICE, ports, TCP) & mask;
}

describe('the seed of the connection hash', () => {
  it('spreads keys that were chosen to collide under another', () => {
    const known = indexWith(0);
    const wanted = known(1, 1);
    const colliding: [number, number][] = [];
    for (let source = 1; colliding.length < 64; source++) {
      for (let port = 1; port < 2048; port++) {
        const ports = (port << 16) | 80;
        if (known(source, ports) === wanted) colliding.push([source, ports]);
      }
    }
    for (const seed of [1, -1, 0x12345678, 0x7f000001]) {
      const bucketOf = indexWith(seed);
      const buckets = new Set(colliding.map(([source, ports]) => bucketOf(source, ports)));
      expect(buckets.size).toBeGreaterThan(colliding.length * 0.9);
    }
  });
});
