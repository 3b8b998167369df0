// What a process of weir is told when it is started: as JSON in the environment variable WEIR_PLAN.
// Written by the supervisor, read by the entry points of the other processes.
// It holds numbers of inherited file descriptors, never paths to open.

/** One queue of one interface that was opened by the supervisor. */
export interface QueuePlan {
  /** Position of the interface in the configuration; names its block in main memory. */
  readonly interfaceNumber: number;
  readonly interfaceName: string;
  readonly kind: 'af-xdp' | 'af-packet';
  readonly queue: number;
  /** The switching processor that polls it. */
  readonly processor: number;
  /** Number of the socket among all: names it as owner of frames. */
  readonly socketNumber: number;
  readonly fileDescriptor: number;
  /** Its driver is polled by a call whenever it is empty (sys/busy-poll.ts). */
  readonly isBusyPolled: boolean;
  /** Geometry of its rings, as its kind's `open` returned it. */
  readonly geometry: unknown;
}

export interface SwitchingPlan {
  readonly role: 'switching';
  readonly processor: number;
  readonly memoryFileDescriptor: number;
  readonly memorySize: number;
  readonly queues: readonly QueuePlan[];
  /** One event descriptor per switching processor, to wake it. */
  readonly eventFileDescriptors: readonly number[];
  /** Wakes the interface daemon; -1 where there is no control host. */
  readonly daemonEventFileDescriptor: number;
  readonly idle: 'busy' | 'adaptive';
  /** CPU to be pinned to, or -1. */
  readonly cpu: number;
}

export interface ControlPlan {
  readonly role: 'control';
  readonly memoryFileDescriptor: number;
  readonly memorySize: number;
  readonly eventFileDescriptors: readonly number[];
  /** What is taken on shared interfaces, to be mapped; -1 where there are none. */
  readonly claimsFileDescriptor: number;
  readonly configurationFile: string;
  readonly socketPath: string;
  /** Names of the interfaces in the order of their numbers. */
  readonly interfaceNames: readonly string[];
}

export interface InterfaceDaemonPlan {
  readonly role: 'interface';
  readonly memoryFileDescriptor: number;
  readonly memorySize: number;
  /** The pseudo-network device. */
  readonly deviceFileDescriptor: number;
  /** Wakes the daemon. */
  readonly daemonEventFileDescriptor: number;
  /** One event descriptor per switching processor, to wake it. */
  readonly eventFileDescriptors: readonly number[];
}

export type ProcessPlan = SwitchingPlan | ControlPlan | InterfaceDaemonPlan;

/** The environment variable that carries the plan. */
export const PLAN_VARIABLE = 'WEIR_PLAN';

/** Reads this process's plan. Throws when it was not started by a supervisor. */
export function readPlan<Role extends ProcessPlan['role']>(
  role: Role,
): Extract<ProcessPlan, { role: Role }> {
  const text = process.env[PLAN_VARIABLE];
  if (text === undefined) throw new Error(`${PLAN_VARIABLE} is not set: started by weir run only`);
  const plan = JSON.parse(text) as ProcessPlan;
  if (plan.role !== role) throw new Error(`${PLAN_VARIABLE} is for role ${plan.role}, not ${role}`);
  return plan as Extract<ProcessPlan, { role: Role }>;
}
