// The packet filter alone, in weir and in C: nanoseconds of CPU time per packet without any input or
// output, by the number of connections in the table, and what each of them takes in memory. The two
// programs (bench/micro/filter.ts, bench/c-twin/filter.c) meet the same packets in the same order and
// take turns on the CPU under test, so that what the machine does meanwhile falls on both alike. Each
// round's value is the median of some short ones within one process, which has warmed up before.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { findProgram, start, topFolder } from '../../../src/lab/command.ts';
import { buildCTwin } from '../../c-twin/build.ts';
import { CONTENDER_CPU } from '../bench-network.ts';
import type { Measure, Part, PartContext } from '../part.ts';
import { rotated } from '../rounds.ts';
import { median } from '../statistics.ts';

/** Its main memory has 1.6 GB, nearly all that an int32 offset can reach. */
const MANY = 10_000_000;
/** What a process with so many connections takes, and some air. */
const MANY_NEED_KIB = 3 << 20;
const LIMIT_MS = 300_000;

interface Plan {
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly packets: number;
}

const FULL: Plan = { connections: [1024, 65_536, 1_048_576, MANY], rounds: 3, packets: 1_000_000 };
const QUICK: Plan = { connections: [1024, 65_536, 1_048_576], rounds: 3, packets: 500_000 };
const TRIAL: Plan = { connections: [1024], rounds: 1, packets: 100_000 };

/** One of the two programs, for one number of connections. */
interface Side {
  readonly name: 'filter' | 'C twin';
  command(plan: Plan, connections: number): [string, ...string[]];
}

/** What both programs write of one number of connections; nanoseconds per packet, by round. */
interface Row {
  readonly bytesPerConnection: number;
  readonly held: number;
  readonly pages: 'huge' | 'small';
  readonly known: number[];
  readonly noService: number[];
  readonly new: number[];
}

const weirSide: Side = {
  name: 'filter',
  command: ({ rounds, packets }, connections) => [
    execPath,
    // In one file, as what switches packets is.
    join(topFolder(), 'dist', 'filter-benchmark.js'),
    '--json',
    ...['--rounds', String(rounds), '--packets', String(packets)],
    String(connections),
  ],
};

const twinSide = (program: string): Side => ({
  name: 'C twin',
  command: ({ rounds, packets }, connections) => [
    program,
    ...['--rounds', String(rounds), '--packets', String(packets)],
    ...['--connections', String(connections)],
  ],
});

function planOf({ isTrial, isQuick }: PartContext): Plan {
  if (isTrial) return TRIAL;
  return isQuick ? QUICK : FULL;
}

function availableKiB(): number {
  const found = /^MemAvailable:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'latin1'));
  return found === null ? 0 : Number(found[1]);
}

/** The part's own process lives on the CPU of the load; these have the other to themselves. */
function onContenderCpu(command: [string, ...string[]]): [string, ...string[]] {
  const isThere = existsSync(`/sys/devices/system/cpu/cpu${CONTENDER_CPU}`);
  if (!isThere || findProgram('taskset') === undefined) return command;
  return ['taskset', '-c', String(CONTENDER_CPU), ...command];
}

/** @throws WeirError or Error when the program fails or its table does not hold what it should */
async function runSide(side: Side, plan: Plan, connections: number): Promise<Row> {
  const [program, ...args] = onContenderCpu(side.command(plan, connections));
  const running = start(program, args, { pipeOutput: true });
  let text = '';
  running.child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const closed = new Promise((resolve) => running.child.stdout?.once('close', resolve));
  const timer = setTimeout(() => running.child.kill('SIGKILL'), LIMIT_MS);
  const status = await running.exited;
  clearTimeout(timer);
  await closed;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`);
  const [row] = (JSON.parse(text) as { results: Row[] }).results;
  if (row.held !== connections) {
    throw new Error(`${row.held} of ${connections} connections are in the table of ${side.name}`);
  }
  return row;
}

const MEASURES = [
  ['known', 'known connection'],
  ['noService', 'no service'],
  ['new', 'new connection'],
] as const;

function record(context: PartContext, name: string, connections: number, row: Row): void {
  const measureOf = (measure: string, unit: string): Measure => ({
    measure,
    unit,
    better: 'less',
    condition: { connections },
  });
  for (const [key, measure] of MEASURES) {
    context.record(name, measureOf(measure, 'ns/packet'), median(row[key]));
  }
  context.record(name, measureOf('table per connection', 'bytes'), row.bytesPerConnection);
}

/** All sides in turn, for one number of connections. */
async function measure(
  context: PartContext,
  plan: Plan,
  sides: readonly Side[],
  connections: number,
): Promise<void> {
  const pages = new Set<string>();
  for (const side of sides) {
    context.say(`${side.name}: ${connections} connections`);
    try {
      const row = await runSide(side, plan, connections);
      record(context, side.name, connections, row);
      pages.add(row.pages);
    } catch (error) {
      context.missing(side.name, error instanceof Error ? error.message : String(error));
    }
  }
  if (pages.size > 1) {
    const what = `${connections} connections: one side had huge pages, the other had not`;
    context.missing('C twin', `${what}, so they cannot be compared`);
  }
}

async function run(context: PartContext): Promise<void> {
  const plan = planOf(context);
  const built = buildCTwin();
  if ('reason' in built) context.missing('C twin', built.reason);
  const sides = 'reason' in built ? [weirSide] : [weirSide, twinSide(built.filter)];
  const hasRoom = availableKiB() >= MANY_NEED_KIB;
  for (let round = 0; round < context.rounds; round += 1) {
    for (const connections of plan.connections) {
      if (connections === MANY && !hasRoom) {
        const reason = `${MANY} connections: less than 3 GiB of memory are available`;
        for (const { name } of sides) context.missing(name, reason);
        continue;
      }
      await measure(context, plan, rotated(sides, round), connections);
    }
  }
}

export const part: Part = {
  name: 'filter',
  what: 'the packet filter alone, beside the same in C: ns per packet against connections',
  needsRoot: false,
  run,
};
