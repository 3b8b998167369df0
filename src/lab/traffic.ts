// Traffic for benchmarks and scenarios in a few lines: packets and connections are offered at a rate,
// and what became of them is counted at the far side. The work is done by processes of their own in
// the hosts' namespaces: packet-generator (UDP, SYN floods), packet-receiver (counts and drops UDP) and
// tcp-client (whole TCP connections without a TCP stack). They speak JSON lines.
// A generated UDP packet bears its number and the time, so that what is lost, late, doubled or out of
// order is counted and not guessed (traffic-packet.ts).

import { createInterface } from 'node:readline';
import { WeirError } from '../base/errors.ts';
import { makeScratchFolder } from './clean-up.ts';
import { type LabProcess, startLabProgram } from './command.ts';
import type { GeneratorOptions, GeneratorReport } from './packet-generator.ts';
import type { ReceiverOptions, ReceiverReading } from './packet-receiver.ts';
import type { TcpClientOptions, TcpClientReport } from './tcp-client.ts';

export type { Percentiles } from './latency-histogram.ts';
export type {
  GeneratorOptions,
  GeneratorReport,
  ReceiverOptions,
  ReceiverReading,
  TcpClientOptions,
  TcpClientReport,
};

/** Where a program of the lab runs: the namespace of the host that it plays. */
export interface Place {
  readonly namespace: string;
}

/** UDP packets, or SYNs that nobody follows up. */
export type TrafficOptions = GeneratorOptions & Place;

export interface TrafficRun {
  /** What was really offered, when it has ended. */
  readonly report: Promise<GeneratorReport>;
  /** Ends it before its time. */
  stop(): Promise<GeneratorReport>;
}

export interface Receiver {
  /** What has come in since the last reset. */
  read(): Promise<ReceiverReading>;
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** A child process that writes JSON lines, and what stands in its log when it fails. */
interface Speaker {
  readonly process: LabProcess;
  /** The next line. @throws WeirError ERR_LAB when the process has ended instead. */
  next<Line>(): Promise<Line>;
  ask<Line>(command: string): Promise<Line>;
}

function speak<Options extends Place>(program: string, options: Options): Speaker {
  const { namespace, ...rest } = options;
  const logFile = `${makeScratchFolder(program)}/log`;
  const process = startLabProgram(program, [JSON.stringify(rest)], {
    namespace,
    logFile,
    pipeOutput: true,
    pipeInput: true,
  });
  const { stdin, stdout } = process.child;
  // A program that has ended takes no more commands; `next` says what became of it.
  stdin!.on('error', () => {});
  const lines = createInterface({ input: stdout! })[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();
  const next = async <Line>(): Promise<Line> => {
    const { value, done } = await lines.next();
    if (done !== true) return JSON.parse(value) as Line;
    await process.exited;
    throw new WeirError('ERR_LAB', `${program} has ended: ${process.log().trim()}`, '');
  };
  const ask = <Line>(command: string): Promise<Line> => {
    // One question at a time: answers come in the order of the questions.
    const answer = turn.then(() => {
      stdin!.write(`${command}\n`);
      return next<Line>();
    });
    turn = answer.catch(() => {});
    return answer;
  };
  return { process, next, ask };
}

/** A signal that comes just before a call of the kernel does not end it, so there is another. */
const STOP_INTERVAL_MS = 200;

/** Ends a program by SIGTERM, as often as it takes; it writes its report then. */
async function stopped<Report>({ process }: Speaker, report: Promise<Report>): Promise<Report> {
  const kill = () => process.child.kill('SIGTERM');
  kill();
  const timer = setInterval(kill, STOP_INTERVAL_MS);
  return report.finally(() => clearInterval(timer));
}

/** Begins to offer packets. The caller awaits `report`. */
export function startTraffic(options: TrafficOptions): TrafficRun {
  const speaker = speak('packet-generator', { ...options, announce: true });
  const ready = speaker.next();
  const report = ready.then(() => speaker.next<GeneratorReport>());
  const stop = () => ready.then(() => stopped(speaker, report));
  return { report, stop };
}

/** Counts and drops generated UDP packets that come in on an interface. Ready when this resolves. */
export async function startReceiver(options: ReceiverOptions & Place): Promise<Receiver> {
  const speaker = speak('packet-receiver', options);
  await speaker.next();
  return {
    read: () => speaker.ask<ReceiverReading>('read'),
    reset: async () => {
      await speaker.ask('reset');
    },
    stop: () => speaker.process.stop(),
  };
}

export interface OfferResult extends ReceiverReading {
  readonly offeredPackets: number;
  /** Packets per second, first to last. */
  readonly offeredRate: number;
  readonly offeredSeconds: number;
  /** Offered and never received, neither in time nor late. */
  readonly lost: number;
  /** 0 … 1, of the packets offered. */
  readonly lossRatio: number;
}

const DRAIN_STEP_MS = 30;
/** How long packets may still be under way when the last has been sent. */
const DRAIN_LIMIT_MS = 1000;

/** Waits until nothing comes in any more. */
async function drained(receiver: Receiver): Promise<ReceiverReading> {
  const end = performance.now() + DRAIN_LIMIT_MS;
  let before = await receiver.read();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_STEP_MS));
    const now = await receiver.read();
    if (now.packets === before.packets || performance.now() > end) return now;
    before = now;
  }
}

/**
 * Offers UDP packets and tells what became of them. The receiver is set to zero at the beginning.
 *   const receiver = await startReceiver({ namespace, interface: 'up0' });
 *   const all = { order: 'sequential', packets: 65536, rate: 200_000, seconds: 5 } as const;
 *   await offerUdp({ …, flows: 65536, ...all }, receiver); // every connection has been made
 *   const { lost, longestGapNs } = await offerUdp({ …, rate: 500_000, flows: 65536, seconds: 3 }, receiver);
 * Who shares the generator's CPU takes from its rate: look at `offeredRate`, not at what was asked for.
 */
export async function offerUdp(traffic: TrafficOptions, receiver: Receiver): Promise<OfferResult> {
  await receiver.reset();
  const { packets, seconds, rate } = await startTraffic({ ...traffic, protocol: 'udp' }).report;
  const reading = await drained(receiver);
  const lost = packets - (reading.packets - reading.duplicates);
  return {
    ...reading,
    offeredPackets: packets,
    offeredRate: rate,
    offeredSeconds: seconds,
    lost,
    lossRatio: packets === 0 ? 0 : lost / packets,
  };
}

export interface TcpClientRun {
  /** When all SYNs are sent and answers have had time to arrive. */
  readonly report: Promise<TcpClientReport>;
  /** Ends it before its time. */
  stop(): Promise<TcpClientReport>;
}

/**
 * Opens TCP connections at a rate, each to its end, against any real server. Resolves when it is ready
 * and begins to send.
 */
export async function startTcpClient(options: TcpClientOptions & Place): Promise<TcpClientRun> {
  const speaker = speak('tcp-client', options);
  await speaker.next();
  const report = speaker.next<TcpClientReport>();
  return { report, stop: () => stopped(speaker, report) };
}
