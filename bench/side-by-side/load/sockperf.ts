// UDP requests at a fixed rate, and how long each took there and back, by sockperf: a client that
// sends by the clock whether or not the last answer has come, and a server that sends everything
// back. The client's sender does not sleep between two packets, it spins, on the CPU that the
// server needs. So it runs in the scheduler's idle class, from which anything else takes the CPU at
// once; the thread that receives does not inherit that, and has the CPU as soon as an answer is
// there.

import { WeirError } from '../../../src/base/errors.ts';
import { type LabProcess, start, waitUntil } from '../../../src/lab/command.ts';
import type { LabHost } from '../../../src/lab/network.ts';
import type { Percentiles } from './percentiles.ts';
import { runProgram } from './run-program.ts';

const SPARE_MS = 10_000;
/** sockperf leaves this much at the beginning out of what it measures, and a little at the end. */
const LEFT_OUT_SECONDS = 0.5;
/** Of UDP payload: a small request, such as one for a name. */
const PAYLOAD_BYTES = 32;
const IN_IDLE_CLASS = ['--reset-on-fork', '--idle', '0'];

export interface UdpOffer {
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
}

export interface UdpResult {
  readonly sent: number;
  readonly received: number;
  /** Requests per second that were really made. */
  readonly rate: number;
  readonly roundTripUs: Percentiles;
}

function numberIn(report: string, pattern: RegExp): number {
  const match = pattern.exec(report);
  if (match === null) throw new WeirError('ERR_LAB', `sockperf gave no result: ${report}`, '');
  return Number(match[1]);
}

/** Reads what sockperf prints at its end, with `--full-rtt`. */
export function parseSockperf(report: string): UdpResult {
  const at = report.indexOf('[Valid Duration]');
  const valid = at < 0 ? '' : report.slice(at);
  if (!valid.includes('Round trip is')) {
    const end = report.trim().split('\n').slice(-3).join('; ');
    throw new WeirError('ERR_LAB', `sockperf had no round trips: ${end}`, '');
  }
  const percentile = (text: string) =>
    numberIn(valid, new RegExp(`percentile ${text.replace('.', '\\.')}\\s*=\\s*([\\d.]+)`));
  const sent = numberIn(valid, /SentMessages=(\d+)/);
  return {
    sent,
    received: numberIn(valid, /ReceivedMessages=(\d+)/),
    rate: sent / numberIn(valid, /RunTime=([\d.]+)/),
    roundTripUs: {
      p50: percentile('50.000'),
      p99: percentile('99.000'),
      p999: percentile('99.900'),
    },
  };
}

/** @throws WeirError ERR_LAB when sockperf cannot run or no answer comes */
export async function offerUdpRequests(offer: UdpOffer): Promise<UdpResult> {
  const args = ['under-load', '-i', offer.address, '-p', String(offer.port)];
  args.push('--mps', String(offer.rate), '--reply-every', '1', '--full-rtt');
  args.push('-m', String(PAYLOAD_BYTES), '-t', String(Math.ceil(offer.seconds + LEFT_OUT_SECONDS)));
  const report = await runProgram('chrt', [...IN_IDLE_CLASS, 'sockperf', ...args], {
    namespace: offer.namespace,
    timeoutMs: offer.seconds * 1000 + SPARE_MS,
  });
  return parseSockperf(report);
}

/** sockperf's server, which sends every request back; it listens when this resolves. */
export async function startUdpEcho(host: LabHost, port: number): Promise<LabProcess> {
  const server = start('sockperf', ['server', '-i', host.address, '-p', String(port)], {
    namespace: host.namespace,
    pipeOutput: true,
  });
  let said = '';
  server.child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await waitUntil(
    `sockperf listens on ${host.name}`,
    () => !server.isRunning() || said.includes('to block on socket'),
    10_000,
    () => said,
  );
  if (!server.isRunning()) throw new WeirError('ERR_LAB', `sockperf ended at once: ${said}`, '');
  return server;
}
