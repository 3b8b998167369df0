// What the benchmarks set side by side: something that carries traffic from clients to servers through
// the switch's namespace of a lab network, or nothing at all (direct). Each is started for one part of
// one round, with one core where it has a core of its own, and stopped again: never two at once.
// contenders/ holds one file for each; parts/ holds what is measured.

import type { BenchNetwork } from './bench-network.ts';

export const CONTENDER_NAMES = [
  'weir-af-xdp',
  'weir-af-packet',
  'nftables',
  'haproxy',
  'nginx',
  'direct',
  'xdp-redirect',
  'c-twin',
] as const;
export type ContenderName = (typeof CONTENDER_NAMES)[number];

export type TransportProtocol = 'udp' | 'tcp';

/** The service that a contender shall carry. */
export interface Wanted {
  readonly protocol: TransportProtocol;
  /** Of the service and of its servers. */
  readonly port: number;
  /** How many of the network's servers take part, from the first on. */
  readonly backends: number;
  /** Connections that there will be: tables are made twice as large. */
  readonly connections: number;
  /** Switching processors, worker processes, or threads. */
  readonly processors: number;
  /** CPUs that the contender may use, one for each of its processors. */
  readonly cpus: readonly number[];
  /** How a switching processor waits; those that have no choice take no notice. */
  readonly idle: 'busy' | 'adaptive';
  /**
   * The kernel's half of receiving (a veth's polling, the copy into a ring) takes place on `cpus`, too,
   * instead of on the sender's CPU. Those that work in the kernel have it so always. Default false.
   */
  readonly receivesItself?: boolean;
}

/** Where clients find the service. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** The client's interface towards it, in the client's namespace. */
  readonly clientInterface: string;
  /** MAC address that the client's packets for it bear. */
  readonly nextHopMac: string;
}

export interface RunningContender {
  readonly target: Target;
  /** Its processes and kernel threads, for their CPU time and memory; empty where it has none. */
  processes(): readonly { readonly pid: number; readonly name: string }[];
  /** How it drives its interfaces, where it can tell: 'veth, native copy'. */
  readonly drivers?: string;
  /** Ends it and leaves the network as it was. */
  stop(): Promise<void>;
}

export interface Contender {
  readonly name: ContenderName;
  /** As it stands in tables: 'weir, af-xdp'. */
  readonly label: string;
  readonly protocols: readonly TransportProtocol[];
  /** Why it cannot run on this machine, or undefined. */
  unavailable(): string | undefined;
  /** Serving when this resolves: the first packet will pass. */
  start(network: BenchNetwork, wanted: Wanted): Promise<RunningContender>;
}
