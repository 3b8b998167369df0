// Bulk TCP by iperf3: as fast as it goes, or at a rate that all contenders can carry, so that what
// they need for a gigabyte can be compared. One byte counted is one byte that the far side has
// received.

import { WeirError } from '../../../src/base/errors.ts';
import { runProgram } from './run-program.ts';

const SPARE_MS = 10_000;

export interface BulkOffer {
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
  readonly seconds: number;
  readonly streams: number;
  /** The server sends. */
  readonly isReverse?: boolean;
  /** Bits per second of all streams together; as fast as it goes without it. */
  readonly bitsPerSecond?: number;
}

export interface BulkResult {
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly retransmits: number;
}

interface Report {
  readonly error?: string;
  readonly end?: {
    readonly sum_received?: { readonly bytes: number; readonly bits_per_second: number };
    readonly sum_sent?: { readonly retransmits?: number };
  };
}

/** Reads iperf3's JSON. */
export function parseIperf3(text: string): BulkResult {
  let report: Report;
  try {
    report = JSON.parse(text) as Report;
  } catch {
    throw new WeirError('ERR_LAB', `iperf3 gave no result: ${text.slice(0, 200)}`, '');
  }
  const received = report.end?.sum_received;
  if (report.error !== undefined || received === undefined) {
    throw new WeirError('ERR_LAB', `iperf3: ${report.error ?? 'nothing was received'}`, '');
  }
  return {
    bytes: received.bytes,
    bytesPerSecond: received.bits_per_second / 8,
    retransmits: report.end?.sum_sent?.retransmits ?? 0,
  };
}

/** @throws WeirError ERR_LAB when iperf3 cannot run, or not to its end */
export async function transferBulk(offer: BulkOffer): Promise<BulkResult> {
  const { namespace, streams, seconds } = offer;
  const args = ['--client', offer.address, '--port', String(offer.port), '--json'];
  args.push('--time', String(seconds), '--parallel', String(streams));
  if (offer.isReverse === true) args.push('--reverse');
  if (offer.bitsPerSecond !== undefined) {
    args.push('--bitrate', String(Math.round(offer.bitsPerSecond / streams)));
  }
  const timeoutMs = seconds * 1000 + SPARE_MS;
  return parseIperf3(await runProgram('iperf3', args, { namespace, timeoutMs }));
}
