// The benchmarks' entry: what is set side by side, and how it is run, `--help` says. `npm run bench`
// sets the machine up first (tools/bench.mjs). The result goes to a file, tables of it to the terminal.
//   node dist/bench/side-by-side/main.js --quick --only packets --contenders weir-af-xdp,nftables

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { topFolder } from '../../src/lab/command.ts';
import { type BenchArguments, readArguments, usage } from './arguments.ts';
import { CONTENDERS } from './contenders.ts';
import { PARTS } from './parts.ts';
import { terminalReport } from './report/terminal.ts';
import { writeDocument } from './report/write-document.ts';
import type { BenchResult } from './result.ts';
import { BenchRun } from './run.ts';

const FAILED = 1;
const WRONG_USAGE = 2;
const BROKEN_OFF = 130;

/** The one result that is committed: docs/benchmarks.md is made from it. */
const REFERENCE = join(topFolder(), 'bench', 'results', 'reference.json');

/** bench/results/2026-01-31T1200-quick.json: no run writes over another one's. */
function resultPath({ startedAt, isQuick }: BenchResult): string {
  const minute = startedAt.slice(0, 16).replace(':', '');
  const name = `${minute}-${isQuick ? 'quick' : 'full'}.json`;
  return join(topFolder(), 'bench', 'results', name);
}

async function measure(wanted: BenchArguments, args: readonly string[]): Promise<number> {
  // Exit handlers take everything down; with no listener of ours the signal would end us before.
  process.on('SIGINT', () => process.exit(BROKEN_OFF));
  process.on('SIGTERM', () => process.exit(BROKEN_OFF));
  const run = new BenchRun(wanted);
  const result = await run.run(
    ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
  );
  cleanAll();
  const path = wanted.output === undefined ? resultPath(result) : resolve(wanted.output);
  const text = `${JSON.stringify(result, null, 1)}\n`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  process.stdout.write(wanted.isJson ? text : terminalReport(result));
  const written = path === REFERENCE ? [path, ...writeDocument(result)] : [path];
  process.stderr.write(`written: ${written.join('\n         ')}\n`);
  return run.failures > 0 || result.series.length === 0 ? FAILED : 0;
}

async function main(args: readonly string[]): Promise<number> {
  const choices = { parts: PARTS.map(({ part }) => part), contenders: CONTENDERS };
  const wanted = readArguments(args, choices);
  if (wanted === 'help') {
    process.stdout.write(usage(choices));
    return 0;
  }
  if ('faults' in wanted) {
    for (const fault of wanted.faults) process.stderr.write(`${fault}\n`);
    process.stderr.write('`npm run bench -- --help` says what there is.\n');
    return WRONG_USAGE;
  }
  return measure(wanted, args);
}

process.exitCode = await main(process.argv.slice(2));
