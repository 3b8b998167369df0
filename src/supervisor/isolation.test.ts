// Setting CPUs apart, on the machine's real interrupts where there is one that nothing uses and that may
// be moved; and the order in which a partition is made, on a folder that takes what the kernel would.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Log } from '../base/log.ts';
import { onlineCpus } from '../sys/affinity.ts';
import {
  makePartition,
  removePartition,
  usableCpus,
  whyNoPartition,
} from '../sys/cpu-partition.ts';
import { interfaceInterrupts, interruptCpus, setInterruptCpus } from '../sys/interrupts.ts';
import { Isolation } from './isolation.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-isolation-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** One that has never come in, and may be moved. */
function idleInterrupt(): number | undefined {
  const lines = readFileSync('/proc/interrupts', 'utf8').split('\n');
  const cpus = onlineCpus();
  for (const line of lines) {
    const [number, ...rest] = line.trim().split(/\s+/);
    if (!/^\d+:$/.test(number) || rest.slice(0, cpus.length).some((count) => count !== '0'))
      continue;
    const interrupt = Number.parseInt(number, 10);
    if (setInterruptCpus(interrupt, interruptCpus(interrupt)) === '') return interrupt;
  }
  return undefined;
}

const idle = onlineCpus().length > 1 ? idleInterrupt() : undefined;
if (idle === undefined) console.log('skipped: no idle interrupt that may be moved');

/** Interfaces with a device of their own on a bus; only looked at. */
const hardware = readdirSync('/sys/class/net').filter((name) =>
  existsSync(`/sys/class/net/${name}/device`),
);
if (hardware.length === 0) console.log('skipped: no hardware interface here');

describe('interrupts', () => {
  it('an interface without hardware has none', () => {
    expect(interfaceInterrupts('lo')).toEqual([]);
    expect(interfaceInterrupts('no-such')).toEqual([]);
  });

  it.skipIf(hardware.length === 0)('of hardware are the kernel’s, by number and device', () => {
    const lines = readFileSync('/proc/interrupts', 'utf8').split('\n');
    for (const name of hardware) {
      const found = interfaceInterrupts(name);
      expect(found.length, name).toBeGreaterThan(0);
      for (const interrupt of found) {
        expect(lines.some((line) => line.trim().startsWith(`${interrupt}:`))).toBe(true);
        expect(interruptCpus(interrupt).length).toBeGreaterThan(0);
      }
    }
  });

  it.skipIf(idle === undefined)('are moved, and put back as they were', () => {
    const interrupt = idle as number;
    const before = interruptCpus(interrupt);
    setInterruptCpus(interrupt, onlineCpus());
    const [first, ...others] = onlineCpus();
    const settings = {
      cpus: [first],
      interfaceNames: ['one'],
      socketPath: join(folder, 'control.sock'),
      interruptsOf: () => [interrupt],
    };
    new Isolation(settings, new Log('test')).apply();
    expect(interruptCpus(interrupt)).toEqual(others);
    // Killed here; the next one puts back what there was at first.
    const next = new Isolation(settings, new Log('test'));
    next.apply();
    next.restore();
    expect(interruptCpus(interrupt)).toEqual(onlineCpus());
    expect(readdirSync(folder)).toEqual([]);
    setInterruptCpus(interrupt, before);
  });

  it.skipIf(idle === undefined)('what another user may have written is not believed', () => {
    const interrupt = idle as number;
    const before = interruptCpus(interrupt);
    const socketPath = join(folder, 'control.sock');
    const lie = { interrupts: { [interrupt]: [onlineCpus()[0]] }, partition: folder };
    writeFileSync(`${socketPath}.isolation`, JSON.stringify(lie), { mode: 0o666 });
    chmodSync(`${socketPath}.isolation`, 0o666);
    const [, cpu] = onlineCpus();
    const settings = { cpus: [cpu], interfaceNames: [], socketPath };
    const isolation = new Isolation(settings, new Log('test'));
    setInterruptCpus(interrupt, onlineCpus());
    isolation.apply();
    isolation.restore();
    expect(interruptCpus(interrupt)).toEqual(onlineCpus());
    expect(existsSync(join(folder, 'cpuset.cpus.partition'))).toBe(false);
    setInterruptCpus(interrupt, before);
  });

  it('says why one cannot be moved', () => {
    expect(setInterruptCpus(999_999, [0])).toBe('ENOENT');
    expect(interruptCpus(999_999)).toEqual([]);
  });
});

describe('a partition', () => {
  const group = (): string => join(folder, 'weir-switching');
  /** The folder as the kernel would have it: with the cpuset controller, and these values in its files. */
  function delegate(files: Record<string, string>): void {
    const all = {
      'cgroup.controllers': 'cpuset cpu',
      'cpuset.cpus.partition': 'root',
      'cpuset.cpus.effective': '1-3',
      ...files,
    };
    for (const [file, value] of Object.entries(all))
      writeFileSync(join(folder, file), `${value}\n`);
  }

  it('is not to be had where the group has no cpuset', () => {
    expect(whyNoPartition([1], folder)).toContain('ENOENT');
    writeFileSync(join(folder, 'cgroup.controllers'), 'cpu memory\n');
    expect(whyNoPartition([1], folder)).toMatch(/cpuset/);
    expect(makePartition([1], folder)).toEqual({ reason: whyNoPartition([1], folder) });
    expect(existsSync(group())).toBe(false);
    writeFileSync(join(folder, 'cgroup.controllers'), 'cpuset\n');
    expect(whyNoPartition([1], folder)).toContain('the group of the whole machine');
  });

  it.each([
    [{ 'cpuset.cpus.partition': 'member' }, /no partition itself .*: member/],
    [
      { 'cpuset.cpus.partition': 'root invalid (Parent is not a partition root)' },
      /no partition itself .*root invalid/,
    ],
    [{ 'cpuset.cpus.effective': '0,2' }, /CPU 3 is none of the group/],
    [{ 'cpuset.cpus.effective': '2-3' }, /no CPU besides \(2-3\)/],
  ])('is not tried where the kernel would refuse it: %j', (files, why) => {
    delegate(files);
    const made = makePartition([2, 3], folder);
    expect('reason' in made && made.reason).toMatch(why);
    expect(existsSync(group())).toBe(false);
    expect(existsSync(join(folder, 'cgroup.subtree_control'))).toBe(false);
  });

  it('is a threaded group with the CPUs, isolated, and goes as it came', () => {
    delegate({});
    const made = makePartition([2, 3], folder);
    expect(made).toEqual({ folder: group() });
    const content = Object.fromEntries(
      readdirSync(group()).map((file) => [file, readFileSync(join(group(), file), 'utf8')]),
    );
    expect(content).toEqual({
      'cgroup.type': 'threaded',
      'cpuset.cpus': '2,3',
      'cpuset.cpus.exclusive': '2,3',
      'cpuset.cpus.partition': 'isolated',
    });
    expect(readFileSync(join(folder, 'cgroup.subtree_control'), 'utf8')).toBe('+cpuset');
    // Whoever starts weir again meanwhile may name these CPUs, though nobody else sees them.
    expect(usableCpus(folder)).toEqual(expect.arrayContaining([2, 3]));
    writeFileSync(join(folder, 'cpuset.cpus.effective'), '1\n');
    expect(whyNoPartition([2, 3], folder)).toBe('');
    // The kernel's files go with their folder; these do not.
    for (const file of readdirSync(group())) rmSync(join(group(), file));
    removePartition(group());
    expect(existsSync(group())).toBe(false);
    expect(readFileSync(join(folder, 'cgroup.subtree_control'), 'utf8')).toBe('-cpuset');
  });

  it.skipIf(onlineCpus().length < 2)(
    'takes each process once, and binds it to its CPU',
    async () => {
      const socketPath = join(folder, 'control.sock');
      const before = { interrupts: {}, partition: folder };
      writeFileSync(`${socketPath}.isolation`, JSON.stringify(before), { mode: 0o600 });
      const [cpu] = onlineCpus();
      const settings = { cpus: [cpu], interfaceNames: [], socketPath, interruptsOf: () => [] };
      const isolation = new Isolation(settings, new Log('test'));
      expect(isolation.hasPartition).toBe(false);
      isolation.apply();
      expect(isolation.hasPartition).toBe(true);
      const child = spawn('sleep', ['60']);
      const pid = child.pid as number;
      const threads = join(folder, 'cgroup.threads');
      isolation.join(0, pid);
      expect(readFileSync(threads, 'utf8')).toBe(String(pid));
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(status).toMatch(new RegExp(`^Cpus_allowed_list:\\s*${cpu}$`, 'm'));
      rmSync(threads);
      isolation.join(0, pid);
      expect(existsSync(threads)).toBe(false);
      child.kill();
      await once(child, 'exit');
      isolation.join(0, pid + 1);
      expect(readFileSync(threads, 'utf8')).toBe(String(pid + 1));
    },
  );
});
