// The benchmark as a whole, in the shortest slice of it that is real: two contenders carry packets in
// the benchmark's own network, and what is written has the shape that the report is made from. Figures
// are not looked at, only that there are some: windows are far too short for more.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { BenchResult, Series } from '../../bench/side-by-side/result.ts';
import { labNamespaces } from '../../src/lab/clean-up.ts';
import { topFolder } from '../../src/lab/command.ts';
import { skipReason } from '../../src/lab/privileges.ts';

const MAIN = join(topFolder(), 'dist', 'bench', 'side-by-side', 'main.js');
const CONTENDERS = ['weir-af-xdp', 'nftables'];
const BROKEN_OFF = 130;

const reason = skipReason({ programs: ['ip', 'ethtool', 'nft', 'chrt', 'taskset'], bpf: true });
if (reason !== undefined) process.stdout.write(`bench: skipped: ${reason}\n`);
const folder = mkdtempSync(join(tmpdir(), 'weir-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly pid: number;
  readonly exited: Promise<number | null>;
  readonly output: () => string;
  readonly interrupt: () => void;
}

function bench(...args: string[]): Run {
  const child = spawn(process.execPath, [MAIN, ...args]);
  let output = '';
  const take = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve));
  return {
    pid: child.pid!,
    exited,
    output: () => output,
    interrupt: () => child.kill('SIGINT'),
  };
}

function namespacesOf({ pid }: Run): string[] {
  return labNamespaces().filter((name) => name.startsWith(`weir-${pid}-`));
}

describe.skipIf(reason !== undefined)('the benchmark', () => {
  it('sets two contenders side by side and writes what it found', async () => {
    const file = join(folder, 'result.json');
    const only = ['--trial', '--only', 'packets', '--contenders', CONTENDERS.join(',')];
    const run = bench(...only, '--output', file);
    expect(await run.exited, run.output()).toBe(0);
    expect(namespacesOf(run)).toEqual([]);
    const result = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
    expect(result).toMatchObject({ isQuick: true, rounds: 1 });
    expect(result.command).toBe(`npm run bench -- ${only.join(' ')} --output ${file}`);
    expect(result.machine).toMatchObject({ node: process.version });
    expect(result.machine.drivers).toMatch(/^veth, af-xdp, /);
    expect(result.machine.versions).toHaveProperty('nftables');
    expect(result.aims.length).toBeGreaterThan(5);
    const throughput = result.series.filter(({ measure }) => measure === 'throughput');
    expect(throughput.map(({ contender }) => contender).sort()).toEqual([...CONTENDERS].sort());
    for (const series of throughput) {
      expect(series).toEqual({
        part: 'packets',
        measure: 'throughput',
        unit: 'Mpps',
        better: 'more',
        contender: expect.any(String),
        condition: { connections: 1024 },
        values: [expect.any(Number)],
      } satisfies Series);
      expect(series.values[0]).toBeGreaterThan(0);
    }
  }, 60_000);

  it('leaves nothing behind when it is broken off', async () => {
    const run = bench('--trial', '--only', 'packets', '--contenders', 'nftables');
    while (namespacesOf(run).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    run.interrupt();
    expect(await run.exited).toBe(BROKEN_OFF);
    expect(namespacesOf(run)).toEqual([]);
  }, 30_000);
});
