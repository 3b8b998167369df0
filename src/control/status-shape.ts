// The shape of what `GET /v1/status` answers, and `weir status --json` prints: an interface to the
// outside, so names and units here do not change lightly. Times are ISO 8601 or milliseconds; counts run
// from the start of weir and survive the restart of any one process.

export interface Status {
  /** 'ready' when every switching processor switches by the running configuration. */
  readonly state: 'starting' | 'ready';
  readonly version: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly configuration: ConfigurationStatus;
  readonly routing: RoutingStatus;
  readonly forwarding: ForwardingStatus;
  readonly processes: ProcessesStatus;
  readonly interfaces: readonly InterfaceStatus[];
  /** What is weir's on all shared interfaces together; null: there is none. */
  readonly claims: ClaimsStatus | null;
  /** The machine's own programs as an end point, by a device; null: not configured. */
  readonly controlHost: ControlHostStatus | null;
  /** The same by an interface of the kernel's on the internal switch; null: not configured. */
  readonly controlInterface: ControlInterfaceStatus | null;
  /** Network applications, in short; all there is to know of them: application-view.ts. */
  readonly applications: readonly ApplicationStatus[];
  readonly totals: TotalsStatus;
  readonly connections: ConnectionsStatus;
  readonly services: readonly ServiceStatus[];
  readonly neighbors: readonly NeighborStatus[];
}

export interface ApplicationStatus {
  readonly name: string;
  readonly state: 'not loaded' | 'running' | 'broken' | 'failed' | 'hung' | 'crashed';
  readonly packets: number;
}

export interface ConfigurationStatus {
  /** Counts the configurations that were put into force; 0 before the first. */
  readonly generation: number;
  /** Counts the flips of the configuration table: by configurations, and by the master's distributions. */
  readonly flips: number;
  readonly appliedAt: string | null;
  readonly file: string;
  readonly reloadsRefused: number;
}

export interface RoutingStatus {
  /** Routes in force, and how often the routing table was flipped. */
  readonly routes: number;
  readonly flips: number;
  /** Of them, those that the kernel has; null: it is not followed. */
  readonly fromKernel: number | null;
  /** Why the kernel's latest routes are not in force; null: they are. */
  readonly error: string | null;
}

export interface ForwardingStatus {
  /** Pairs of interfaces between which is forwarded. */
  readonly pairs: number;
  /** Connections with a translated source; null: none is translated. */
  readonly sourceNat: {
    readonly connectionsActive: number;
    readonly connectionsTotal: number;
    /** Outwards, and their replies. */
    readonly packetsOut: number;
    readonly bytesOut: number;
    readonly packetsIn: number;
    readonly bytesIn: number;
  } | null;
}

export interface ProcessesStatus {
  readonly supervisor: { readonly pid: number; readonly alive: boolean };
  readonly control: { readonly pid: number; readonly restarts: number };
  readonly switching: readonly SwitchingStatus[];
}

export interface SwitchingStatus {
  readonly processor: number;
  readonly pid: number;
  readonly state: 'dead' | 'starting' | 'running' | 'stopped';
  readonly restarts: number;
  /** The CPU it is pinned to; null: none. */
  readonly cpu: number | null;
  readonly heartbeatAgeMs: number;
  /** How long its present process has been switching; null when it is not. */
  readonly runningSinceMs: number | null;
  readonly sleeping: boolean;
  readonly received: number;
  readonly forwarded: number;
  readonly dropped: number;
  readonly punted: number;
  readonly consumed: number;
  readonly waiting: number;
  readonly handedOver: number;
  readonly takenOver: number;
  readonly turns: number;
  readonly idleTurns: number;
  readonly sleeps: number;
  readonly framesReclaimed: number;
  /** Packets received and not accounted for: 0, but for packets under way and those of killed processes. */
  readonly balance: number;
}

export interface InterfaceStatus {
  readonly name: string;
  readonly kind: string;
  readonly mode: string;
  /** It stays the kernel's, but for what is claimed; null: all its frames are weir's. */
  readonly shared: SharedStatus | null;
  readonly busyPolling: BusyPollingStatus;
  readonly up: boolean;
  readonly mac: string;
  readonly mtu: number;
  readonly queues: readonly { readonly queue: number; readonly processor: number }[];
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
}

export interface SharedStatus {
  /** Frames that its XDP program has given to weir, and those that it has left to the kernel. */
  readonly framesTaken: number;
  readonly framesLeftToKernel: number;
}

export interface ClaimsStatus {
  /** Addresses and ports of services, servers and applications. */
  readonly inForce: number;
  readonly capacity: number;
  /** Of them, those of what is configured no longer and has connections yet. */
  readonly former: number;
  /** So many were wanted and did not fit, so that those before are in force; 0: all are in force. */
  readonly refused: number;
}

export interface BusyPollingStatus {
  /** Frames a poll of the driver may take, as configured; null: not configured. */
  readonly budget: number | null;
  /** Of its queues, those whose driver can be polled by weir: the kernel has a NAPI instance for them. */
  readonly queuesWithNapi: number;
  readonly inEffect: boolean;
  /** Why it is not in effect; null: it is. */
  readonly reason: string | null;
}

export interface ControlInterfaceStatus {
  readonly pairs: readonly ControlPairStatus[];
  /** Those that weir translated on their own account; packets of services count as theirs. */
  readonly toHost: { readonly packets: number };
  readonly fromHost: { readonly packets: number };
}

export interface ControlPairStatus {
  readonly virtual: string;
  readonly real: string;
  /** On whose network the real address is. */
  readonly interface: string;
  /** What is known of it there; null: nothing was sent to it yet. */
  readonly mac: string | null;
  readonly state: string | null;
}

export interface ControlHostStatus {
  readonly device: string;
  /** null: weir's own. */
  readonly namespace: string | null;
  readonly addresses: readonly string[];
  readonly mtu: number;
  readonly up: boolean;
  /** How often the device had gone and was made again. */
  readonly madeAnew: number;
  readonly daemon: {
    readonly pid: number;
    readonly restarts: number;
    readonly heartbeatAgeMs: number;
    readonly sleeping: boolean;
    readonly wakeUps: number;
  };
  /** From the networks to the host's programs. */
  readonly toHost: {
    readonly packets: number;
    readonly bytes: number;
    /** Packet storage was full: the daemon did not keep up, or stood still. */
    readonly droppedFull: number;
    /** The device was down, or gone. */
    readonly refusedByDevice: number;
  };
  readonly fromHost: {
    readonly packets: number;
    readonly bytes: number;
    readonly droppedFull: number;
  };
}

export interface ReasonStatus {
  readonly count: number;
  readonly verdict: string;
  readonly meaning: string;
}

export interface TotalsStatus {
  readonly received: number;
  readonly verdicts: Readonly<Record<'forwarded' | 'dropped' | 'punted' | 'consumed', number>>;
  /** Only those that have occurred. */
  readonly reasons: Readonly<Record<string, ReasonStatus>>;
}

export interface ConnectionsStatus {
  /** Connections that can be open at once. */
  readonly capacity: number;
  /** Connections of all backends, of those configured no longer too; closing ones included. */
  readonly live: number;
  /** Records that are not free: live ones and those about to be freed. */
  readonly taken: number;
  readonly halfOpen: number;
  readonly inserted: number;
  readonly expired: number;
  readonly evicted: number;
  /** Ended because those of their backend were to be ended: it is down, or drained and past its deadline. */
  readonly ended: number;
}

export interface ServiceStatus {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly scheduler: string;
  readonly forwarding: string;
  /** Closing ones included, until their timeout. */
  readonly connectionsActive: number;
  readonly connectionsTotal: number;
  readonly backends: readonly BackendStatus[];
}

/** 'in' is towards the backend, 'out' is what it answered (0 with direct server return). */
export interface BackendStatus {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly connectionsActive: number;
  /** Those that neither side has begun to close. */
  readonly connectionsOpen: number;
  readonly connectionsTotal: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  /** Connections of which the server's first packet has come, a reset included. */
  readonly connectionsAnswered: number;
  /** … and was a reset. */
  readonly connectionsRefused: number;
  /** Resets from the server, those refusals included. */
  readonly resets: number;
  /** Mean time from a request to the beginning of the answer; null before the first. */
  readonly answerTimeMs: number | null;
  /** Its part, 0 to 1, of all connections that its service ever had. */
  readonly share: number;
}

export interface NeighborStatus {
  readonly interface: string;
  readonly address: string;
  /** null while it is not known. */
  readonly mac: string | null;
  readonly state: string;
}
