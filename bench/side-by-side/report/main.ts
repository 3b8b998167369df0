// Shows a result of the benchmarks again: tables on the terminal, and with --write docs/benchmarks.md
// and its pictures. Measures nothing.
//   node dist/bench/side-by-side/report/main.js bench/results/reference.json [--write]

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { BenchResult } from '../result.ts';
import { terminalReport } from './terminal.ts';
import { writeDocument } from './write-document.ts';

const USAGE = 'usage: node dist/bench/side-by-side/report/main.js RESULT.json [--write]\n';
const USAGE_EXIT_CODE = 2;

function readResult(path: string): BenchResult {
  const result = JSON.parse(readFileSync(path, 'utf8')) as Partial<BenchResult>;
  if (!Array.isArray(result.series) || result.machine === undefined) {
    throw new Error(`${path} holds no result of the benchmarks`);
  }
  return result as BenchResult;
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { write: { type: 'boolean', default: false } },
  });
  if (positionals.length !== 1) {
    process.stderr.write(USAGE);
    return USAGE_EXIT_CODE;
  }
  const result = readResult(positionals[0]);
  process.stdout.write(terminalReport(result));
  if (values.write) process.stdout.write(`${writeDocument(result).join('\n')}\n`);
  return 0;
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
