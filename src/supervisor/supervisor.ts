// The supervisor: small, and the only process that may open interfaces. Makes main memory, opens the
// network interfaces, spawns the switching and the control processors with those descriptors inherited,
// and starts again whatever dies. It reads nothing from the network and listens to nobody.
// Invariant: what a dead process left behind in main memory no longer holds the others up: its state is
// DEAD and its epoch quiescent before the next one is started.

import { fileURLToPath } from 'node:url';
import { monotonicMs } from '../base/clock.ts';
import { Log } from '../base/log.ts';
import type { ControlPlan, SwitchingPlan } from '../base/process-plan.ts';
import {
  EPOCH_QUIESCENT,
  HEADER_CONTROL_PID,
  HEADER_CONTROL_RESTARTS,
  HEADER_STOPPING,
  HEADER_SUPERVISOR_PID,
  LAYOUT_VERSION,
  PROCESSOR_CPU,
  PROCESSOR_DIED_AT,
  PROCESSOR_ENDED_ITSELF,
  PROCESSOR_EPOCH,
  PROCESSOR_HEARTBEAT,
  PROCESSOR_PID,
  PROCESSOR_RESTARTS,
  PROCESSOR_RUNNING_SINCE,
  PROCESSOR_SLEEPING,
  PROCESSOR_STATE,
  STATE_DEAD,
  STATE_RUNNING,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { signalEvent } from '../sys/event-fd.ts';
import { closeFd } from '../sys/libc.ts';
import { Child, type ChildSpecification, startsAgain } from './child.ts';
import type { ControlDeviceParts } from './control-device.ts';
import { InheritanceList, inheritance } from './inheritance.ts';
import { InterfaceDaemonKeeper } from './interface-daemon-keeper.ts';
import type { Isolation } from './isolation.ts';
import { claimsFileDescriptor, type InterfaceParts } from './open-interfaces.ts';
import {
  catchesSignal,
  identify,
  isSameProcess,
  type ProcessIdentity,
} from './process-identity.ts';
import { type MachineState, removeStateFile, stateFilePath, writeStateFile } from './state-file.ts';

/** How long a process may take to end when asked to. */
const STOP_GRACE_MS = 2000;
const WATCH_INTERVAL_MS = 500;
const RELOAD_RETRY_MS = 50;
/** A switching processor that shows no sign of life for this long is killed and started again. */
const HUNG_AFTER_MS = 3000;
/** One that has not begun to switch this long after its start, likewise. */
const START_TIMEOUT_MS = 15_000;

/** What the supervisor keeps running. Descriptor numbers are its own. */
export interface Machine {
  readonly memory: MainMemory;
  readonly memoryFileDescriptor: number;
  /** By interface number: its queues, and what keeps its program alive. */
  readonly interfaces: readonly InterfaceParts[];
  readonly interfaceNames: readonly string[];
  /** One per switching processor. */
  readonly eventFileDescriptors: readonly number[];
  /** The pseudo-network device, where there is one. */
  readonly control: ControlDeviceParts | undefined;
  readonly idle: 'busy' | 'adaptive';
  /** CPU of each switching processor, or -1. */
  readonly cpus: readonly number[];
  readonly configurationFile: string;
  readonly socketPath: string;
}

/** What a process died of that nobody else did to it: an exit, or a fault of its own. */
const ENDED_ITSELF = /^(exit code|SIG(ABRT|SEGV|BUS|ILL|FPE|TRAP)$)/;
/**
 * Room for what V8 makes while it compiles what a processor runs: a few megabytes in its first seconds,
 * which with the default sizes of the heap end in two or three collections in the midst of switching.
 * After that there is no garbage. In megabytes.
 */
const SWITCHING_NODE_OPTIONS = ['--min-semi-space-size=16', '--initial-heap-size=64'];
/** `switching/main.ts` with all that it imports, in one file (tools/build.mjs). */
const SWITCHING_ENTRY_POINT = fileURLToPath(
  new URL('../../switching-processor.js', import.meta.url),
);
const CONTROL_ENTRY_POINT = fileURLToPath(new URL('../control/main.js', import.meta.url));

export class Supervisor {
  machine: Machine;
  private readonly isolation: Pick<Isolation, 'join' | 'hasPartition'>;
  private readonly log = new Log('supervisor');
  private readonly switching: Child[];
  private readonly control: Child;
  private readonly daemon: InterfaceDaemonKeeper | undefined;
  private readonly seenHeartbeats: Int32Array;
  private watch: NodeJS.Timeout | undefined;
  private reloadRetry: NodeJS.Timeout | undefined;
  /** Until all that run are known again, what stands in the state file is better. */
  private isAdopting = false;

  constructor(machine: Machine, isolation: Pick<Isolation, 'join' | 'hasPartition'>) {
    this.machine = machine;
    this.isolation = isolation;
    const { processors } = machine.memory.layout;
    this.seenHeartbeats = new Int32Array(processors);
    this.switching = Array.from({ length: processors }, (_, processor) => {
      return new Child(`switching ${processor}`, () => this.specifySwitching(processor), {
        started: (pid) => this.switchingStarted(processor, pid),
        died: (how, delayMs) => this.switchingDied(processor, how, delayMs),
      });
    });
    this.control = new Child('control', () => this.specifyControl(), {
      started: (pid) => this.controlStarted(pid),
      died: (how, delayMs) => this.controlDied(how, delayMs),
    });
    if (machine.control !== undefined) {
      this.daemon = new InterfaceDaemonKeeper(machine, machine.control, this.log, () =>
        this.noteProcesses(),
      );
    }
  }

  /** Starts everything: control first, so that there is a configuration to switch by. */
  start(): void {
    this.begin();
    this.control.start();
    for (const child of this.switching) child.start();
    this.daemon?.child.start();
  }

  /** Takes over what a killed supervisor has left running, and starts what does not run any more. */
  adopt(state: MachineState): void {
    this.begin();
    const missing: Child[] = [];
    this.isAdopting = true;
    for (const [processor, child] of this.switching.entries()) {
      if (adoptIfAlive(child, state.switching[processor])) continue;
      this.markDead(processor);
      missing.push(child);
    }
    if (!adoptIfAlive(this.control, state.control)) missing.push(this.control);
    const daemon = this.daemon?.child;
    if (daemon !== undefined && !adoptIfAlive(daemon, state.interfaceDaemon)) missing.push(daemon);
    this.isAdopting = false;
    this.noteProcesses();
    for (const child of missing) child.start();
  }

  private begin(): void {
    const { memory } = this.machine;
    memory.setHeader(HEADER_SUPERVISOR_PID, process.pid);
    memory.setHeader(HEADER_STOPPING, 0);
    for (let processor = 0; processor < memory.layout.processors; processor++) {
      this.setProcessorWord(processor, PROCESSOR_CPU, this.machine.cpus[processor] ?? -1);
    }
    this.watch = setInterval(() => this.watchHeartbeats(), WATCH_INTERVAL_MS);
  }

  /**
   * An interface was opened anew: every switching processor is started again, with its sockets. Frames
   * that the old ones held are found by that start; connections are in main memory.
   */
  replaceInterface(interfaceNumber: number, parts: InterfaceParts): void {
    const { interfaces } = this.machine;
    const old = interfaces[interfaceNumber];
    this.machine = {
      ...this.machine,
      interfaces: interfaces.map((one, i) => (i === interfaceNumber ? parts : one)),
    };
    for (const child of this.switching) child.signal('SIGKILL');
    // The claims are those of all shared interfaces, and go on.
    const kept = new Set(parts.heldFileDescriptors);
    for (const fd of old.heldFileDescriptors) if (!kept.has(fd)) closeFd(fd);
    for (const { fileDescriptor } of old.queues) closeFd(fileDescriptor);
  }

  /**
   * Passes a request to read the configuration again on to the control processor. One that has just been
   * started would end by the signal, and the next one begins with what ran before: so it is waited for.
   */
  reload(): void {
    clearTimeout(this.reloadRetry);
    const { pid } = this.control;
    if (pid !== undefined && catchesSignal(pid, 'SIGHUP')) this.control.signal('SIGHUP');
    else this.reloadRetry = setTimeout(() => this.reload(), RELOAD_RETRY_MS);
  }

  /** Ends everything; switching processors end by themselves at their next turn. */
  async stop(): Promise<void> {
    clearInterval(this.watch);
    clearTimeout(this.reloadRetry);
    this.machine.memory.setHeader(HEADER_STOPPING, 1);
    for (const fd of this.machine.eventFileDescriptors) signalEvent(fd);
    this.daemon?.wake();
    await Promise.all([
      this.control.stop(STOP_GRACE_MS, 'SIGTERM'),
      ...this.switching.map((child) => child.stop(STOP_GRACE_MS, undefined)),
      this.daemon?.child.stop(STOP_GRACE_MS, undefined),
    ]);
    removeStateFile(stateFilePath(this.machine.socketPath));
  }

  private specifySwitching(processor: number): ChildSpecification {
    const { machine } = this;
    const { list, numbered } = inheritance(machine);
    const plan: SwitchingPlan = {
      role: 'switching',
      processor,
      memoryFileDescriptor: numbered.memoryFileDescriptor,
      memorySize: machine.memory.layout.totalSize,
      queues: numbered.interfaces.flatMap(({ queues }) => queues),
      eventFileDescriptors: numbered.eventFileDescriptors,
      daemonEventFileDescriptor: numbered.control?.daemonEventFileDescriptor ?? -1,
      idle: machine.idle,
      // In a partition it is put there, and bound, when it has made its other threads.
      cpu: this.isolation.hasPartition ? -1 : (machine.cpus[processor] ?? -1),
    };
    const nodeOptions = SWITCHING_NODE_OPTIONS;
    return { entryPoint: SWITCHING_ENTRY_POINT, nodeOptions, plan, fileDescriptors: list };
  }

  private specifyControl(): ChildSpecification {
    const { machine } = this;
    const { configurationFile, socketPath, interfaceNames } = machine;
    const inherited = new InheritanceList();
    const claims = claimsFileDescriptor(machine.interfaces);
    const plan: ControlPlan = {
      role: 'control',
      memoryFileDescriptor: inherited.add(machine.memoryFileDescriptor),
      memorySize: machine.memory.layout.totalSize,
      eventFileDescriptors: machine.eventFileDescriptors.map((fd) => inherited.add(fd)),
      claimsFileDescriptor: claims === -1 ? -1 : inherited.add(claims),
      configurationFile,
      socketPath,
      interfaceNames,
    };
    return { entryPoint: CONTROL_ENTRY_POINT, plan, fileDescriptors: inherited.list };
  }

  private switchingStarted(processor: number, pid: number): void {
    this.setProcessorWord(processor, PROCESSOR_PID, pid);
    // One that no state file knew of, because its supervisor was killed too soon, ends by this now.
    signalEvent(this.machine.eventFileDescriptors[processor]);
    this.noteProcesses();
  }

  private controlStarted(pid: number): void {
    this.machine.memory.setHeader(HEADER_CONTROL_PID, pid);
    this.noteProcesses();
  }

  /** Leaves word for a supervisor that may have to take over. */
  private noteProcesses(): void {
    if (this.isAdopting) return;
    const { machine } = this;
    const identity = (pid: number | undefined) => (pid === undefined ? undefined : identify(pid));
    const supervisor = identify(process.pid);
    if (supervisor === undefined) return;
    const { control: controlDevice, ...numberedHere } = inheritance(machine).numbered;
    writeStateFile(stateFilePath(machine.socketPath), {
      layoutVersion: LAYOUT_VERSION,
      supervisor,
      switching: this.switching.map((child) => identity(child.pid)),
      control: identity(this.control.pid),
      interfaceDaemon: identity(this.daemon?.child.pid),
      memorySize: machine.memory.layout.totalSize,
      ...numberedHere,
      controlDevice,
      interfaceNames: machine.interfaceNames,
      idle: machine.idle,
      cpus: machine.cpus,
    });
  }

  private switchingDied(processor: number, how: string, delayMs: number): void {
    const { memory } = this.machine;
    this.markDead(processor);
    this.setProcessorWord(processor, PROCESSOR_ENDED_ITSELF, ENDED_ITSELF.test(how) ? 1 : 0);
    Atomics.add(memory.words, memory.processorWord(processor, PROCESSOR_RESTARTS), 1);
    this.log.error(`switching ${processor} died (${how}); ${startsAgain(delayMs)}`);
  }

  /** What it held in main memory no longer holds anybody up. */
  private markDead(processor: number): void {
    this.setProcessorWord(processor, PROCESSOR_STATE, STATE_DEAD);
    this.setProcessorWord(processor, PROCESSOR_EPOCH, EPOCH_QUIESCENT);
    this.setProcessorWord(processor, PROCESSOR_SLEEPING, 0);
    this.setProcessorWord(processor, PROCESSOR_DIED_AT, monotonicMs());
  }

  private controlDied(how: string, delayMs: number): void {
    const { memory } = this.machine;
    const restarts = memory.header(HEADER_CONTROL_RESTARTS) + 1;
    memory.setHeader(HEADER_CONTROL_RESTARTS, restarts);
    this.log.error(`control died (${how}); switching goes on; ${startsAgain(delayMs)}`);
  }

  private setProcessorWord(processor: number, word: number, value: number): void {
    const { memory } = this.machine;
    Atomics.store(memory.words, memory.processorWord(processor, word), value);
  }

  /**
   * Kills a switching processor that runs but shows no turns. It must have been silent at two looks in
   * a row, so that a machine that was suspended does not have its processors killed on waking.
   */
  private watchHeartbeats(): void {
    const { memory } = this.machine;
    const now = monotonicMs();
    this.daemon?.watch(now);
    for (const [processor, child] of this.switching.entries()) {
      const read = (word: number): number =>
        Atomics.load(memory.words, memory.processorWord(processor, word));
      const heartbeat = read(PROCESSOR_HEARTBEAT);
      const wasSeen = this.seenHeartbeats[processor] === heartbeat;
      this.seenHeartbeats[processor] = heartbeat;
      const isLate = ((now - heartbeat) | 0) > HUNG_AFTER_MS;
      if (read(PROCESSOR_STATE) !== STATE_RUNNING) {
        if (child.ageMs() > START_TIMEOUT_MS) {
          this.log.error(`switching ${processor} does not get to switching: killed`);
          child.signal('SIGKILL');
        }
        continue;
      }
      if (child.pid !== undefined) this.isolation.join(processor, child.pid);
      if (!wasSeen || !isLate) continue;
      const since = ((now - read(PROCESSOR_RUNNING_SINCE)) | 0) / 1000;
      this.log.error(`switching ${processor} hangs (it ran for ${since.toFixed(0)} s): killed`);
      child.signal('SIGKILL');
    }
  }
}

/** @returns whether that process runs, and is the child's now */
function adoptIfAlive(child: Child, identity: ProcessIdentity | undefined): boolean {
  if (identity == null || !isSameProcess(identity)) return false;
  child.adopt(identity);
  return true;
}
