// Figures of the machine: what Linux writes on machines of different age, what containers have, and
// the files of this machine itself.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { MachineLoad } from './machine-load.ts';
import { parseMemoryUtilization } from './memory-use.ts';
import { parsePressure } from './pressure.ts';
import { parseProcessorTime, utilizationBetween } from './processor-time.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-machine-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A folder with these files. */
function filesIn(name: string, files: Record<string, string>): string {
  const top = join(folder, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    writeFileSync(join(top, path), text);
  }
  return top;
}

const STAT = (user: number, idle: number) =>
  `cpu  ${user} 0 0 ${idle} 0 0 0 0 0 0\ncpu0 ${user} 0 0 ${idle} 0 0 0 0 0 0\nintr 5 0 0\n`;
const MEMINFO = 'MemTotal:        1000 kB\nMemFree:   10 kB\nMemAvailable:     400 kB\n';
const PRESSURE =
  'some avg10=12.50 avg60=0.82 avg300=0.69 total=10895582\n' +
  'full avg10=1.00 avg60=0.00 avg300=0.00 total=0\n';

describe('/proc/stat', () => {
  it('tells busy time: all but idle and waiting for I/O', () => {
    const text = 'cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 1 1 1\ncpu1 1 1 1 1\n';
    expect(parseProcessorTime(text)).toEqual({ busy: 171, total: 621, processors: 2 });
    expect(parseProcessorTime('cpu  1 2 3 4\n')).toEqual({ busy: 6, total: 10, processors: 1 });
    expect(parseProcessorTime('')).toBeUndefined();
    expect(parseProcessorTime('cpu  nonsense\n')).toBeUndefined();
  });

  it('gives a share between two readings, never outside of 0 and 1', () => {
    const time = (busy: number, total: number) => ({ busy, total, processors: 2 });
    expect(utilizationBetween(time(10, 100), time(35, 200))).toBe(0.25);
    expect(utilizationBetween(time(10, 100), time(10, 100))).toBeUndefined();
    expect(utilizationBetween(time(10, 100), time(9, 101))).toBe(0);
    expect(utilizationBetween(time(10, 100), time(15, 101))).toBe(1);
  });
});

describe('/proc/meminfo and /proc/pressure', () => {
  it('are read, and say nothing when they are not there', () => {
    expect(parseMemoryUtilization(MEMINFO)).toBe(0.6);
    expect(parseMemoryUtilization('MemTotal: 1000 kB\n')).toBeUndefined();
    expect(parsePressure(PRESSURE)).toBe(0.125);
    expect(parsePressure('')).toBeUndefined();
  });
});

describe('a machine', () => {
  const group = (files: Record<string, string>) =>
    filesIn(`group${Math.random()}`, { 'cgroup.controllers': '', ...files });

  it('has CPU utilisation from the second look on', () => {
    const procFolder = filesIn('proc', {
      stat: STAT(100, 100),
      meminfo: MEMINFO,
      'pressure/cpu': PRESSURE,
    });
    const load = new MachineLoad({ controlGroup: 'off', procFolder });
    expect(load.sample(0)).toEqual({ memoryUtilization: 0.6, cpuPressure: 0.125 });
    writeFileSync(join(procFolder, 'stat'), STAT(130, 170));
    expect(load.sample(1000)).toMatchObject({ cpuUtilization: 0.3 });
  });

  it('in a container counts its limits, or the machine where that is fuller', () => {
    const procFolder = filesIn('busy', { stat: STAT(100, 100), meminfo: MEMINFO });
    const controlGroup = group({
      'cpu.max': '50000 100000\n',
      'cpu.stat': 'usage_usec 1000000\nuser_usec 1\n',
      'memory.max': '1000\n',
      'memory.current': '950\n',
      'memory.stat': 'anon 5\ninactive_file 150\n',
      'cpu.pressure': PRESSURE,
    });
    const load = new MachineLoad({ controlGroup, procFolder });
    load.sample(0);
    // 0.4 s of CPU in a second of which half could be used; the machine was busy for 30 percent.
    writeFileSync(join(controlGroup, 'cpu.stat'), 'usage_usec 1400000\n');
    writeFileSync(join(procFolder, 'stat'), STAT(130, 170));
    expect(load.sample(1000)).toEqual({
      cpuUtilization: 0.8,
      memoryUtilization: 0.8,
      cpuPressure: 0.125,
    });
    writeFileSync(join(procFolder, 'stat'), STAT(220, 180));
    expect(load.sample(2000).cpuUtilization).toBe(0.9);
  });

  it('in a container without limits counts as itself', () => {
    const procFolder = filesIn('unlimited', { stat: STAT(100, 100), meminfo: MEMINFO });
    const controlGroup = group({
      'cpu.max': 'max 100000\n',
      'cpu.stat': 'usage_usec 0\n',
      'memory.max': 'max\n',
      'memory.current': '5\n',
    });
    const load = new MachineLoad({ controlGroup, procFolder });
    load.sample(0);
    writeFileSync(join(procFolder, 'stat'), STAT(150, 150));
    writeFileSync(join(controlGroup, 'cpu.stat'), 'usage_usec 9000000\n');
    expect(load.sample(1000)).toEqual({ cpuUtilization: 0.5, memoryUtilization: 0.6 });
  });

  it('without any of the files says nothing', () => {
    const load = new MachineLoad({ controlGroup: 'auto', procFolder: join(folder, 'none') });
    load.sample(0);
    expect(load.sample(1000)).toEqual({});
  });

  it('is this one, too', async () => {
    const load = new MachineLoad({ controlGroup: 'auto' });
    load.sample(performance.now());
    const before = parseProcessorTime(readFileSync('/proc/stat', 'latin1'))!;
    await sleep(500);
    const { cpuUtilization, memoryUtilization } = load.sample(performance.now());
    const after = parseProcessorTime(readFileSync('/proc/stat', 'latin1'))!;
    expect(Math.abs(cpuUtilization! - utilizationBetween(before, after)!)).toBeLessThan(0.2);
    expect(memoryUtilization).toBeGreaterThan(0);
    expect(memoryUtilization).toBeLessThan(1);
  });
});
