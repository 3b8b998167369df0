// Keeps the interface daemon running: starts it with what it needs and no more (main memory, the
// pseudo-network device, the events), starts it again when it died, and kills it when it shows no sign of
// life, so that the control host is back after a few seconds whatever became of it. Switching does not
// wait for it meanwhile.

import { fileURLToPath } from 'node:url';
import type { Log } from '../base/log.ts';
import type { InterfaceDaemonPlan } from '../base/process-plan.ts';
import {
  DAEMON_HEARTBEAT,
  DAEMON_PID,
  DAEMON_RESTARTS,
  daemonWord,
} from '../memory/packet-storage.ts';
import type { MainMemory } from '../memory/region.ts';
import { signalEvent } from '../sys/event-fd.ts';
import { Child, type ChildSpecification, startsAgain } from './child.ts';
import type { ControlDeviceParts } from './control-device.ts';
import { InheritanceList } from './inheritance.ts';

const ENTRY_POINT = fileURLToPath(new URL('../interface-daemon/main.js', import.meta.url));
/** One that shows no sign of life for this long is killed and started again. */
const HUNG_AFTER_MS = 3000;
/** … or has not begun this long after its start. */
const START_TIMEOUT_MS = 15_000;

/** What of the machine the daemon is given. */
interface DaemonMachine {
  readonly memory: MainMemory;
  readonly memoryFileDescriptor: number;
  readonly eventFileDescriptors: readonly number[];
}

export class InterfaceDaemonKeeper {
  readonly child: Child;
  private readonly machine: DaemonMachine;
  private readonly parts: ControlDeviceParts;
  private readonly log: Log;
  private seenHeartbeat = 0;
  private hasBegun = false;

  /** `started` is told of every new process. */
  constructor(machine: DaemonMachine, parts: ControlDeviceParts, log: Log, started: () => void) {
    this.machine = machine;
    this.parts = parts;
    this.log = log;
    this.child = new Child('interface', () => this.specify(), {
      started: (pid) => {
        this.set(DAEMON_PID, pid);
        this.seenHeartbeat = this.read(DAEMON_HEARTBEAT);
        this.hasBegun = false;
        started();
      },
      died: (how, delayMs) => {
        this.set(DAEMON_RESTARTS, this.read(DAEMON_RESTARTS) + 1);
        log.error(`interface daemon died (${how}); switching goes on; ${startsAgain(delayMs)}`);
      },
    });
  }

  /** Ends its sleep. */
  wake(): void {
    signalEvent(this.parts.daemonEventFileDescriptor);
  }

  /** Kills one that runs but does nothing; asked now and then, at two looks in a row. */
  watch(nowMs: number): void {
    const heartbeat = this.read(DAEMON_HEARTBEAT);
    if (heartbeat !== this.seenHeartbeat) {
      this.hasBegun = true;
      this.seenHeartbeat = heartbeat;
      return;
    }
    const silentMs = this.hasBegun ? (nowMs - heartbeat) | 0 : this.child.ageMs();
    if (silentMs <= (this.hasBegun ? HUNG_AFTER_MS : START_TIMEOUT_MS)) return;
    this.log.error('the interface daemon hangs: killed');
    this.child.signal('SIGKILL');
  }

  private specify(): ChildSpecification {
    const { machine, parts } = this;
    const inherited = new InheritanceList();
    const plan: InterfaceDaemonPlan = {
      role: 'interface',
      memoryFileDescriptor: inherited.add(machine.memoryFileDescriptor),
      memorySize: machine.memory.layout.totalSize,
      deviceFileDescriptor: inherited.add(parts.deviceFileDescriptor),
      daemonEventFileDescriptor: inherited.add(parts.daemonEventFileDescriptor),
      eventFileDescriptors: machine.eventFileDescriptors.map((fd) => inherited.add(fd)),
    };
    return { entryPoint: ENTRY_POINT, plan, fileDescriptors: inherited.list };
  }

  private read(word: number): number {
    const { memory } = this.machine;
    return Atomics.load(memory.words, daemonWord(memory.layout, word));
  }

  private set(word: number, value: number): void {
    const { memory } = this.machine;
    Atomics.store(memory.words, daemonWord(memory.layout, word), value);
  }
}
