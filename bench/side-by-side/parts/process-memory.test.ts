import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { pid } from 'node:process';
import { describe, expect, it } from 'vitest';
import { createMemoryFile } from '../../../src/sys/main-memory.ts';
import {
  parseSlabObjectSize,
  parseStatus,
  readMainMemory,
  readProcessMemory,
} from './process-memory.ts';

const STATUS = `Name:\tnode
VmRSS:\t  123456 kB
RssAnon:\t   50000 kB
RssFile:\t   43456 kB
RssShmem:\t   30000 kB
HugetlbPages:\t    2048 kB
`;

const SLABINFO = `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>
nf_conntrack_expect      0      0    208   19    1 : tunables    0    0    0
nf_conntrack        1024   1092    256   16    1 : tunables    0    0    0
`;

describe('memory of processes', () => {
  it('splits what is resident into shared and own; huge pages are shared ones', () => {
    const kib = 1024;
    expect(parseStatus(STATUS)).toEqual({
      resident: (123456 + 2048) * kib,
      shared: (30000 + 2048) * kib,
      own: (123456 - 30000) * kib,
    });
    expect(parseStatus('Name:\tkthreadd\n')).toEqual({ resident: 0, shared: 0, own: 0 });
  });

  it('reads those of a living process', () => {
    const { resident, own } = readProcessMemory(pid);
    expect(own).toBeGreaterThan(1 << 20);
    expect(resident).toBeGreaterThanOrEqual(own);
  });

  it('sees the size of a memory file, and only those pages in use that were touched', async () => {
    const { fd } = createMemoryFile('weir-test', 8 << 20, false);
    // Another process shows what it has inherited; this one may have other files.
    const child = spawn('sleep', ['5'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    try {
      await new Promise((resolve) => child.once('spawn', resolve));
      expect(readMainMemory(child.pid as number)).toEqual({ size: 8 << 20, inUse: 0 });
      writeSync(fd, new Uint8Array(4096), 0, 4096, 4096);
      const inUse = readMainMemory(child.pid as number)?.inUse ?? 0;
      expect(inUse).toBeGreaterThanOrEqual(4096);
      expect(inUse).toBeLessThan(8 << 20);
    } finally {
      child.kill();
    }
  });

  it('finds the size of a kind of object in the kernel, by its whole name', () => {
    expect(parseSlabObjectSize(SLABINFO, 'nf_conntrack')).toBe(256);
    expect(parseSlabObjectSize(SLABINFO, 'nf_conn')).toBeUndefined();
  });
});
