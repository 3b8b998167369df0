// Which network applications the switching processors are to run, and how: written by the control
// processor as JSON into main memory, read by every switching processor when its generation changes. It
// holds what the control processor knows and the others do not: numbers of services and backends by name.

/** Applications that are part of weir, by the name that the configuration calls them. */
export const BUILTIN_APPLICATIONS = ['dns', 'media-relay'] as const;
export type BuiltinApplication = (typeof BUILTIN_APPLICATIONS)[number];

/** Which packets an application sees; all that is said must hold. Only packets that are sent to weir. */
export interface Match {
  /** Default: all three. */
  readonly protocol?: 'udp' | 'tcp' | 'icmp';
  /** Destination: an address, or a network such as 10.1.0.0/24. Default: any. */
  readonly address?: string;
  /** Destination port, or the first and the last of a range. Default: any. */
  readonly port?: number | readonly [first: number, last: number];
  /** Address, port and protocol of a service that the configuration lists under `services`. */
  readonly service?: string;
}

/** A service that an application may match by name or ask about. */
export interface ApplicationService {
  readonly name: string;
  /** Its number in the configuration table. */
  readonly id: number;
  /** As int32. */
  readonly address: number;
  readonly port: number;
  /** Protocol number: 6 or 17. */
  readonly protocol: number;
  readonly backends: readonly { readonly name: string; readonly id: number }[];
}

export interface ApplicationPlan {
  readonly name: string;
  /** Its place in main memory: 0 … MAX_APPLICATIONS - 1, kept for as long as it has its name. */
  readonly slot: number;
  /** Another one: it is to be set up anew, and may run again if it was switched off. */
  readonly revision: number;
  /** One of BUILTIN_APPLICATIONS, or the absolute path of a JavaScript module. */
  readonly module: string;
  /** Another one: the module's file has changed, or one that it imports by a relative path. */
  readonly version: string;
  /** Whether it imports files by relative paths. */
  readonly importsFiles: boolean;
  /** In place of what the application itself wants to see; empty: as it says. */
  readonly match: readonly Match[];
  readonly processors: 'all' | 'one';
  readonly options: Readonly<Record<string, unknown>>;
  /** CPU time that its packets of one burst, or one tick, may take. */
  readonly budgetMicroseconds: number;
  /** So many failures within ten seconds switch it off. */
  readonly failures: number;
  /** Most frames that it may have in hand on one processor. */
  readonly frames: number;
  /** What becomes of the packets that it matches once it is switched off. */
  readonly whenOff: 'pass' | 'drop';
  readonly services: readonly ApplicationService[];
}
