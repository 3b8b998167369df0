// HTTP/1.1 requests at a rate that does not depend on the answers, by h2load of Debian's
// nghttp2-client, which writes down for every request when it was sent and how many microseconds
// the answer took. h2load sends a connection's requests on a timer of 10 ms at best, so there are
// as many connections as make 100 requests a second each, and they are opened one after another, a
// millisecond apart: else all of them would ask in the same instant, and what is measured would be
// the queue of the clients.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeirError } from '../../../src/base/errors.ts';
import { makeScratchFolder, removeScratchFolder } from '../../../src/lab/clean-up.ts';
import { type Percentiles, percentilesOf } from './percentiles.ts';
import { runProgram } from './run-program.ts';

const REQUESTS_PER_CONNECTION_SECOND = 100;
const SPARE_MS = 10_000;

export interface HttpOffer {
  readonly namespace: string;
  readonly url: string;
  /** Requests per second, a multiple of 100. */
  readonly rate: number;
  readonly seconds: number;
}

export interface HttpResult {
  readonly requests: number;
  readonly failed: number;
  /** Requests per second that were really made. */
  readonly rate: number;
  readonly latencyUs: Percentiles;
}

/** Reads h2load's log (start in microseconds, status, microseconds) and its closing report. */
export function parseH2load(report: string, log: string): HttpResult {
  const counts = /(\d+) total, \d+ started, \d+ done, (\d+) succeeded/.exec(report);
  if (counts === null) throw new WeirError('ERR_LAB', `h2load gave no result: ${report}`, '');
  const rows = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t').map(Number));
  const answered = rows.filter(([, status]) => status >= 200 && status < 300);
  if (answered.length === 0) throw new WeirError('ERR_LAB', 'h2load had no answer at all', '');
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const [startUs] of answered) {
    first = Math.min(first, startUs);
    last = Math.max(last, startUs);
  }
  // The first of the requests marks the start, so it is not among those that the time brought.
  const seconds = (last - first) / 1e6;
  return {
    requests: Number(counts[2]),
    failed: Number(counts[1]) - Number(counts[2]),
    rate: seconds > 0 ? (answered.length - 1) / seconds : 0,
    latencyUs: percentilesOf(answered.map(([, , latencyUs]) => latencyUs)),
  };
}

/** @throws WeirError ERR_LAB when h2load cannot run or has no answer */
export async function offerHttp({ namespace, url, rate, seconds }: HttpOffer): Promise<HttpResult> {
  const connections = Math.max(1, Math.round(rate / REQUESTS_PER_CONNECTION_SECOND));
  const requests = connections * Math.round(REQUESTS_PER_CONNECTION_SECOND * seconds);
  const folder = makeScratchFolder('h2load');
  const logFile = join(folder, 'requests');
  const args = ['--h1', '-t', '1', '-c', String(connections), '-n', String(requests)];
  args.push('-r', '1', '--rate-period=1ms', `--rps=${REQUESTS_PER_CONNECTION_SECOND}`);
  args.push(`--log-file=${logFile}`, url);
  try {
    const timeoutMs = seconds * 1000 + connections + SPARE_MS;
    const report = await runProgram('h2load', args, { namespace, timeoutMs });
    return parseH2load(report, readFileSync(logFile, 'utf8'));
  } finally {
    removeScratchFolder(folder);
  }
}
