// What each way of writing costs on the Node in use: nanoseconds, and bytes of garbage, for each time that
// it is done, beside the addition of two int32 in the same loop. The rules for hot functions
// (docs/reference/hot-path.md) rest on this. Rounds alternate between all ways, so that what else the
// machine does falls on all of them; the best and the median of them are shown.
//   node dist/bench/micro/writing.js [--rounds N] [--json | --markdown]

import { cpus } from 'node:os';
import { cpuUsage, memoryUsage, stdout, version } from 'node:process';
import { parseArgs } from 'node:util';
import { BASELINE, keptSize, WAYS, type Way } from './writing-ways.ts';

const WARM_UP_CALLS = 30;
const WARM_UP_COUNT = 20_000;
/** One measurement takes about as long. */
const ROUND_NS = 4e6;
const LEAST_COUNT = 1000;
const LEAST_NS = 0.3;
/** Below this, what was found is V8's own noise. */
const GARBAGE_FROM = 0.05;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
  },
});

interface Measured {
  readonly group: string;
  readonly name: string;
  readonly isBanned: boolean;
  readonly medianNs: number;
  readonly bestNs: number;
  readonly garbageBytes: number;
}

let consumed = 0;

/** Nanoseconds of CPU time, so that others on the machine count less. */
function timeOf({ run }: Way, count: number): number {
  const began = cpuUsage();
  consumed = (consumed + run(count)) | 0;
  const { user, system } = cpuUsage(began);
  return (user + system) * 1000;
}

/** Bytes that the heap grows by; a collection in between makes it less, so the most of some. */
function garbageOf({ run }: Way): number {
  const count = 10_000;
  let most = 0;
  for (let i = 0; i < 5; i++) {
    const before = memoryUsage().heapUsed;
    const nothing = memoryUsage().heapUsed - before;
    const start = memoryUsage().heapUsed;
    consumed = (consumed + run(count)) | 0;
    most = Math.max(most, memoryUsage().heapUsed - start - nothing);
  }
  return most / count;
}

function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1];
}

function measureAll(rounds: number): Measured[] {
  const counts = WAYS.map((way) => {
    for (let i = 0; i < WARM_UP_CALLS; i++) consumed = (consumed + way.run(WARM_UP_COUNT)) | 0;
    const each = Math.max(timeOf(way, WARM_UP_COUNT) / WARM_UP_COUNT, LEAST_NS);
    return Math.max(LEAST_COUNT, Math.round(ROUND_NS / each));
  });
  const times: number[][] = WAYS.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, way] of WAYS.entries()) times[i].push(timeOf(way, counts[i]) / counts[i]);
  }
  return WAYS.map((way, i) => {
    const sorted = times[i].sort((a, b) => a - b);
    const { group, name, isBanned } = way;
    const garbageBytes = garbageOf(way);
    return { group, name, isBanned, medianNs: median(sorted), bestNs: sorted[0], garbageBytes };
  });
}

function nanoseconds(value: number): string {
  return value < 9.95 ? value.toFixed(1) : value.toFixed(0);
}

function bytesText(value: number): string {
  return value < GARBAGE_FROM ? '' : value.toFixed(0);
}

function markdown(all: readonly Measured[], baseline: number): string {
  const lines = [
    `Node ${version}, ${cpus()[0].model.trim()}. Nanoseconds each, loop and sum included; best and median of`,
    `${values.rounds} rounds; times the addition of two int32; bytes of garbage each. What is not allowed in hot`,
    'functions is marked with ×.',
  ];
  let group = '';
  for (const each of all) {
    if (each.group !== group) {
      ({ group } = each);
      lines.push('', `| ${group} | best | median | times | garbage | |`);
      lines.push('|---|---:|---:|---:|---:|---|');
    }
    const columns = [
      each.name,
      nanoseconds(each.bestNs),
      nanoseconds(each.medianNs),
      nanoseconds(each.medianNs / baseline),
      bytesText(each.garbageBytes),
      each.isBanned ? '×' : '',
    ];
    lines.push(`| ${columns.join(' | ')} |`);
  }
  return `${lines.join('\n')}\n`;
}

function table(all: readonly Measured[], baseline: number): string {
  const width = Math.max(...all.map(({ name }) => name.length));
  const lines = [`${'ns each'.padEnd(width)}    best  median   times  garbage`];
  for (const { name, isBanned, bestNs, medianNs, garbageBytes } of all) {
    const columns = [
      nanoseconds(bestNs).padStart(6),
      nanoseconds(medianNs).padStart(6),
      nanoseconds(medianNs / baseline).padStart(6),
      bytesText(garbageBytes).padStart(7),
    ];
    lines.push(`${isBanned ? '×' : ' '} ${name.padEnd(width)}${columns.join('  ')}`);
  }
  return `${lines.join('\n')}\n`;
}

const all = measureAll(Number(values.rounds));
const baseline = all.find(({ name }) => name === BASELINE.name)!.medianNs;
if (consumed + keptSize() === 1) stdout.write('');
if (values.json) stdout.write(`${JSON.stringify({ node: version, ways: all }, null, 1)}\n`);
else stdout.write(values.markdown ? markdown(all, baseline) : table(all, baseline));
