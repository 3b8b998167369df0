// The packet receiver: what it is told and what it says.
// It is a process of its own in a host's namespace.
// Counts and drops what the packet generator sends.
import type { Percentiles } from './latency-histogram.ts';

/** What the receiver is told, as JSON in its first argument. */
export interface ReceiverOptions {
  readonly interface: string;
  /** Look for packets out of order, doubled or missing. Default true; costs some 20 ns a packet. */
  readonly order?: boolean;
  /** Measure the longest time without a packet. Default true. */
  readonly gap?: boolean;
  /** Keep a histogram of the time from the generator to here. Default false. */
  readonly latency?: boolean;
  /** How the program is attached: 'generic' works on every interface. Default 'native'. */
  readonly mode?: 'native' | 'generic';
}

/** What has come in since the receiver was set to zero. */
export interface ReceiverReading {
  /** Of the generator, doubled ones too. */
  readonly packets: number;
  /** Whole frames, without the frame check sequence. */
  readonly bytes: number;
  /** The same packet once more (seen among the last 64 of its flow). */
  readonly duplicates: number;
  /** After one of the same flow that was sent later. */
  readonly reordered: number;
  /** Numbers passed over and not received up to now; what was lost at the very end is not among them. */
  readonly missing: number;
  /** 0 when not measured or with less than two packets. */
  readonly longestGapNs: number;
  /** One way, in ns. */
  readonly latency?: Percentiles;
}
