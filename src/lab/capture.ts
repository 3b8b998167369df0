// Looks at what really goes over a cable of the lab: dumpcap writes a capture file, tshark takes it
// apart. tshark is the referee for the packets that we send: it knows nothing of our code, and with
// every checksum check on it says which packets no other host would accept.
// Not tcpdump, which insists on changing its user and groups and so ends in a user namespace.

import { join } from 'node:path';
import { WeirError } from '../base/errors.ts';
import { makeScratchFolder } from './clean-up.ts';
import { execute, type LabProcess, start, waitUntil } from './command.ts';

const CHECK_ALL = ['ip', 'tcp', 'udp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`]);
const BAD_CHECKSUM = ['ip', 'tcp', 'udp']
  .map((layer) => `${layer}.checksum.status == 0`)
  .join(' || ');
const BUFFER_MIB = '16';
const LAST_BLOCK_MS = 750;

/** A capture that is running, or has been stopped and can be read. */
export class Capture {
  readonly file: string;
  readonly #process: LabProcess;

  constructor(file: string, process: LabProcess) {
    this.file = file;
    this.#process = process;
  }

  /** Ends the capture; what has been captured by now is in the file then. */
  async stop(): Promise<void> {
    // The kernel hands packets over in blocks, an unfilled one only after dumpcap's read timeout of
    // 250 ms; what dumpcap has not been handed when it is told to stop is lost.
    await new Promise((resolve) => setTimeout(resolve, LAST_BLOCK_MS));
    await this.#process.stop();
  }

  /** How many packets the kernel could not hand over in time. Known after `stop`. */
  get dropped(): number {
    return Number(/\(pcap:(\d+)\//.exec(this.#process.log())?.[1] ?? 0);
  }
}

/**
 * Starts to capture on an interface; packets are seen from when the promise resolves.
 * @param filter in the language of pcap-filter(7), for instance 'tcp port 80'
 */
export async function startCapture(
  namespace: string,
  networkInterface: string,
  filter = '',
): Promise<Capture> {
  const folder = makeScratchFolder('capture');
  const file = join(folder, `${networkInterface}.pcap`);
  const args = ['-P', '-i', networkInterface, '-B', BUFFER_MIB, '-w', file];
  if (filter !== '') args.push('-f', filter);
  const process = start('dumpcap', args, { namespace, logFile: join(folder, 'dumpcap.log') });
  // It names the file when the interface is open and the filter in place.
  await waitUntil(
    `dumpcap listens on ${networkInterface}`,
    () => process.log().includes('File: ') || !process.isRunning(),
    10_000,
    () => process.log(),
  );
  if (!process.isRunning()) {
    throw new WeirError('ERR_LAB', `dumpcap on ${networkInterface} ended: ${process.log()}`, '');
  }
  return new Capture(file, process);
}

/** Fields of every packet that a display filter lets through, one row of strings per packet. */
export function readFields(file: string, fields: string[], displayFilter = ''): string[][] {
  const args = ['-r', file, '-n', ...CHECK_ALL, '-T', 'fields'];
  args.push(...fields.flatMap((field) => ['-e', field]));
  if (displayFilter !== '') args.push('-Y', displayFilter);
  const lines = execute('tshark', args).stdout.split('\n').slice(0, -1);
  return lines.map((line) => line.split('\t'));
}

/** How many packets of a capture a display filter lets through. */
export function countPackets(file: string, displayFilter = ''): number {
  return readFields(file, ['frame.number'], displayFilter).length;
}

export interface BadChecksum {
  frameNumber: number;
  source: string;
  destination: string;
  summary: string;
}

/** The packets with a bad IPv4, TCP or UDP checksum. */
export function badChecksums(file: string): BadChecksum[] {
  const fields = ['frame.number', 'ip.src', 'ip.dst', '_ws.col.Info'];
  return readFields(file, fields, BAD_CHECKSUM).map(([number, source, destination, summary]) => ({
    frameNumber: Number(number),
    source,
    destination,
    summary,
  }));
}
