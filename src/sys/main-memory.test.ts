import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { builtModule, spawnModule } from '../../test/support/built-module.ts';
import { closeFd } from './libc.ts';
import { attachMemoryFile, createMemoryFile, PAGE_SIZE, RANGE_SIZE } from './main-memory.ts';

const SIZE = 4 << 20;

describe('the reserved range', () => {
  it('has the memory file at its start and rings behind it', () => {
    const file = createMemoryFile('weir-test', SIZE);
    const ring = createMemoryFile('weir-test-ring', SIZE, false);
    const range = attachMemoryFile(file.fd, SIZE);
    expect(range.buffer.byteLength).toBe(RANGE_SIZE);
    const first = range.mapRing(ring.fd, 100, 0);
    const again = range.mapRing(ring.fd, PAGE_SIZE, 0);
    const next = range.mapRing(ring.fd, PAGE_SIZE, PAGE_SIZE);
    expect(first).toBeGreaterThan(SIZE);
    expect(again).toBeGreaterThanOrEqual(first + PAGE_SIZE);
    const bytes = new Uint8Array(range.buffer);
    bytes.set([1, 2, 3, 4], SIZE - 4);
    bytes.copyWithin(first, SIZE - 4, SIZE);
    // Two maps of the same page of one file show the same bytes; another page does not.
    expect([...bytes.subarray(again, again + 4)]).toEqual([1, 2, 3, 4]);
    expect([...bytes.subarray(next, next + 4)]).toEqual([0, 0, 0, 0]);
    expect(range.addressOf(first) - range.addressOf(0)).toBe(BigInt(first));
    closeFd(file.fd);
    closeFd(ring.fd);
  });

  it('uses the place of a closed ring again', () => {
    const file = createMemoryFile('weir-test', SIZE);
    const range = attachMemoryFile(file.fd, SIZE);
    const first = range.mapRing(file.fd, PAGE_SIZE, 0);
    const kept = range.mapRing(file.fd, PAGE_SIZE, PAGE_SIZE);
    const bytes = new Uint8Array(range.buffer);
    bytes[kept] = 77;
    range.unmapRing(first, PAGE_SIZE);
    expect(range.mapRing(file.fd, PAGE_SIZE, 2 * PAGE_SIZE)).toBe(first);
    expect(range.mapRing(file.fd, PAGE_SIZE, PAGE_SIZE)).toBeGreaterThan(kept);
    expect(bytes[PAGE_SIZE]).toBe(77);
    closeFd(file.fd);
  });

  it('says when main memory and rings do not fit together', () => {
    const file = createMemoryFile('weir-test', SIZE, false);
    const range = attachMemoryFile(file.fd, SIZE);
    expect(() => range.mapRing(file.fd, RANGE_SIZE - SIZE, 0)).toThrow(/no room for/);
    closeFd(file.fd);
  });

  it('is the same memory in another process, at the same offsets', async () => {
    const file = createMemoryFile('weir-test', SIZE);
    const range = attachMemoryFile(file.fd, SIZE);
    const words = new Int32Array(range.buffer);
    const rounds = 2000;
    words[5] = 4711;
    const module = builtModule('src/sys/main-memory.ts');
    const child = spawnModule(
      `import { attachMemoryFile } from '${module}';
       const words = new Int32Array(attachMemoryFile(3, ${SIZE}).buffer);
       for (let i = 0; i < ${rounds}; i++) Atomics.add(words, 1000, 1);
       words[${SIZE / 4 - 1}] = process.pid;
       process.stdout.write(String(Atomics.load(words, 5)));`,
      [file.fd],
    );
    const output = text(child.stdout!);
    for (let i = 0; i < rounds; i++) Atomics.add(words, 1000, 1);
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    expect(await output).toBe('4711');
    expect(words[1000]).toBe(2 * rounds);
    expect(words[SIZE / 4 - 1]).toBe(child.pid);
    closeFd(file.fd);
  });
});
