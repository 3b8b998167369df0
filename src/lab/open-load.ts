// A client that asks at a rate whatever the answers do, as many users together do: who is slow is asked
// all the same, and what waits is counted as waiting. (A client that waits for each answer before it asks
// again, as http-load.ts, spares a slow server and hides what its slowness costs.)
// Each request is a TCP connection of its own, because connections are what weir distributes. Latency
// counts from the moment at which a request was due, also when this process was late.
// Runs as a process in a client's namespace: open-load.js '{"host":"10.1.0.100","rate":90}'
// (OpenLoadOptions). Writes JSON lines, each a list of SampleRow of what has ended since the last; after
// SIGTERM it waits for what is under way and ends.

import { connect } from 'node:net';
import { Prng } from '../base/prng.ts';
import type { OpenLoadOptions, SampleRow } from './open-load-samples.ts';

const TURN_MS = 1;
const RANDOM_RANGE = 2 ** 30;

const given = JSON.parse(process.argv[2]) as OpenLoadOptions;
const settings = { port: 80, path: '/', seed: 1, timeoutMs: 5000, intervalMs: 200, ...given };
const { host, port, rate, timeoutMs } = settings;
const requestText = [
  `GET ${settings.path} HTTP/1.1`,
  `Host: ${host}`,
  'Connection: close',
  '\r\n',
].join('\r\n');

// A small seed begins with small numbers, so it is spread first.
const random = new Prng(Math.imul(settings.seed, 0x9e3779b1));
/** performance.now() + this = Date.now(), but never set back. */
const origin = Date.now() - performance.now();
let ended: SampleRow[] = [];
let underWay = 0;
let isStopping = false;

/** Time to the next request: exponential, so that requests come as from many independent users. */
function gapMs(): number {
  return (-Math.log((random.below(RANDOM_RANGE) + 1) / RANDOM_RANGE) * 1000) / rate;
}

/** The server's name, or what is wrong with the answer. */
function readAnswer(text: string): { server: string; failure: string } {
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
  const end = text.indexOf('\r\n\r\n');
  if (status === 0 || end < 0) return { server: '', failure: 'closed' };
  const server = /\r\nx-backend: *([^\r]+)/i.exec(text)?.[1] ?? text.slice(end + 4).trim();
  const isGood = status >= 200 && status <= 299;
  return { server, failure: isGood ? '' : `status ${status}` };
}

function request(dueMs: number): void {
  underWay += 1;
  let text = '';
  let problem = '';
  const socket = connect({ host, port, noDelay: true });
  const timer = setTimeout(
    () => {
      problem = 'timeout';
      socket.destroy();
    },
    Math.max(0, timeoutMs - (performance.now() - dueMs)),
  );
  socket.on('connect', () => socket.write(requestText));
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    problem = error.code ?? 'error';
  });
  socket.on('close', () => {
    clearTimeout(timer);
    underWay -= 1;
    const { server, failure } =
      problem === '' ? readAnswer(text) : { server: '', failure: problem };
    const latencyMs = Math.round((performance.now() - dueMs) * 1000) / 1000;
    ended.push([Math.round(origin + dueMs), latencyMs, server, failure]);
    endWhenDone();
  });
}

function write(): void {
  process.stdout.write(`${JSON.stringify(ended)}\n`);
  ended = [];
}

function endWhenDone(): void {
  if (!isStopping || underWay > 0) return;
  clearInterval(turns);
  clearInterval(writes);
  write();
}

let dueMs = performance.now();
const turns = setInterval(() => {
  const now = performance.now();
  for (; dueMs <= now && !isStopping; dueMs += gapMs()) request(dueMs);
}, TURN_MS);
const writes = setInterval(write, settings.intervalMs);
process.on('SIGTERM', () => {
  isStopping = true;
  endWhenDone();
});
// The first line tells the lab that from now on a signal ends the load in good order.
write();
