import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { execPath } from 'node:process';
import { describe, expect, it } from 'vitest';
import { builtModule, spawnModule } from '../../test/support/built-module.ts';
import { closeFd, libc } from './libc.ts';
import { raiseLockedMemoryLimit, raiseOpenFilesLimit, takeFileDescriptor } from './process.ts';

describe('a process', () => {
  it('executes itself with the same pid, standard output and kept file descriptors', () => {
    const text = `
      const { executeNode } = await import('${builtModule('src/sys/process.ts')}');
      const { libc } = await import('${builtModule('src/sys/libc.ts')}');
      const [kept, lost] = [libc.memfd_create('kept', 1), libc.memfd_create('lost', 1)];
      console.log(process.pid);
      executeNode(['-p', \`process.pid + process.env.X +
        ['\${kept}', '\${lost}'].map((fd) => { try {
          return require('fs').readlinkSync('/proc/self/fd/' + fd).includes(fd === '\${kept}' ? 'kept' : 'lost');
        } catch { return false; } })\`], { X: ' ' }, [kept]);`;
    const { stdout } = spawnSync(execPath, ['--input-type=module', '-e', text]);
    const [before, after] = stdout.toString().trim().split('\n');
    expect(after).toBe(`${before} true,false`);
  });

  it('takes over a file descriptor of its child', async () => {
    const child = spawnModule('process.stdin.resume(); setTimeout(() => {}, 20_000);');
    const copy = takeFileDescriptor(child.pid!, 1);
    // The child's standard output is a pipe to us: what we write into the copy comes back.
    const data = once(child.stdout!, 'data');
    writeSync(copy, 'hello');
    expect(String((await data)[0])).toBe('hello');
    closeFd(copy);
    expect(() => takeFileDescriptor(child.pid!, 999)).toThrow(/pidfd_getfd failed with EBADF/);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  it('raises its limits as far as it may', () => {
    expect(raiseLockedMemoryLimit()).toBeGreaterThan(0n);
    const files = raiseOpenFilesLimit();
    expect(files).toBeGreaterThanOrEqual(256n);
    const limits = new BigUint64Array(2);
    libc.getrlimit(7, limits);
    expect(limits[0]).toBe(files);
  });
});
