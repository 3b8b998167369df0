// The TCP client without a TCP stack: what it is told and what it says.
// It is a process of its own in a client's namespace.
// Real servers and balancers take it for a host.
import type { Percentiles } from './latency-histogram.ts';

/** What the client is told, as JSON in its first argument. */
export interface TcpClientOptions {
  readonly interface: string;
  readonly destination: string;
  readonly destinationMac: string;
  readonly destinationPort: number;
  /** New connections per second. */
  readonly rate: number;
  readonly seconds: number;
  /**
   * Without one the client ends each connection at once (its ACK bears a FIN). With one it sends this
   * text (at most 64 characters) and waits for the server to answer and close.
   */
  readonly request?: string;
  /** A power of two; connections are made of them in turn. Default 2^24. */
  readonly flows?: number;
  /** Where in them to begin, so that a second run does not meet the first one's. Default: at random. */
  readonly firstFlow?: number;
  /** Two numbers, as in '10.64': the upper half of the clients' addresses. Default '10.64'. */
  readonly sourceNetwork?: string;
  readonly cpu?: number;
  /** Default 0. */
  readonly niceness?: number;
  /** How long to wait for answers after the last SYN. Default 500. */
  readonly patienceMs?: number;
}

export interface TcpClientReport {
  /** SYNs sent. */
  readonly opened: number;
  /** From the first SYN to the last. */
  readonly seconds: number;
  /** SYNs per second. */
  readonly rate: number;
  /** SYN-ACKs received (one sent again counts again, as in what follows). */
  readonly accepted: number;
  /** FINs received: closed by both sides. */
  readonly finished: number;
  /** RSTs received. */
  readonly reset: number;
  /** TCP payload received, in bytes. */
  readonly payloadBytes: number;
  /** SYN to SYN-ACK, in ns. */
  readonly connectLatency: Percentiles;
  /** SYN to the server's FIN, in ns. */
  readonly finishLatency: Percentiles;
}
