import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { builtModule, spawnModule } from '../../test/support/built-module.ts';
import { closeFd } from './libc.ts';
import { attachMemoryFile, createMemoryFile, PAGE_SIZE, RANGE_SIZE } from './main-memory.ts';

const SIZE = 4 << 20;

/** MADV_COLLAPSE is of Linux 6.1, and of kernels that know huge pages which nobody has set aside. */
function canCollapse(): boolean {
  const [major, minor] = release().split('.').map(Number);
  const isNew = major > 6 || (major === 6 && minor >= 1);
  return isNew && existsSync('/sys/kernel/mm/transparent_hugepage');
}

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

  it.skipIf(!canCollapse())('is made of huge pages, and others who map it have them', async () => {
    // A try may meet memory in which no 2 MiB lie together; several do not.
    const files = Array.from({ length: 4 }, () => createMemoryFile('weir-test', SIZE));
    const file = files.find(({ hugePages }) => hugePages);
    if (file === undefined) throw new Error('no file got huge pages');
    const module = builtModule('src/sys/main-memory.ts');
    const child = spawnModule(
      `import { readFileSync } from 'node:fs';
       import { attachMemoryFile } from '${module}';
       const words = new Int32Array(attachMemoryFile(3, ${SIZE}).buffer);
       for (let i = 0; i < ${SIZE / 4}; i += 1024) words[i] = 1;
       const map = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-)/m)
         .find((each) => /memfd:weir-test/.test(each));
       const kilobytes = (name) => Number(new RegExp('^' + name + ': *([0-9]+)', 'm').exec(map)[1]);
       process.stdout.write(String(kilobytes('ShmemPmdMapped') + kilobytes('Shared_Hugetlb') +
         kilobytes('Private_Hugetlb')));`,
      [file.fd],
    );
    const output = text(child.stdout!);
    await once(child, 'exit');
    expect(Number(await output) * 1024).toBe(SIZE);
    for (const { fd } of files) closeFd(fd);
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
