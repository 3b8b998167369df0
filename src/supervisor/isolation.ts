// Sets the CPUs of the switching processors apart (step 301 of Fig. 11: no interrupts there): moves the
// interrupts of weir's interfaces to the other CPUs, and puts the threads that switch into a cpuset
// partition of their own. Whatever cannot be had is logged with its reason and done without;
// `weir doctor` tells the same beforehand. (That each is pinned to its CPU, and that weir's other threads
// keep off, is done whether this is wanted or not: sys/affinity.ts.)
// Invariant: what was changed stands in a file beside the control socket before it is changed, so that a
// supervisor after a killed one puts back what there was, not what was left.

import { existsSync, rmSync } from 'node:fs';
import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { bindThread, onlineCpus } from '../sys/affinity.ts';
import { joinPartition, makePartition, removePartition } from '../sys/cpu-partition.ts';
import { interfaceInterrupts, interruptCpus, setInterruptCpus } from '../sys/interrupts.ts';
import { readOwnFile, writeOwnFile } from './own-file.ts';

interface Before {
  /** CPUs by the number of the interrupt. */
  readonly interrupts: Record<string, readonly number[]>;
  readonly partition?: string;
}

export interface IsolationSettings {
  /** CPUs of the switching processors. */
  readonly cpus: readonly number[];
  readonly interfaceNames: readonly string[];
  readonly socketPath: string;
  /** Interrupts of an interface; for tests. */
  readonly interruptsOf?: (name: string) => readonly number[];
}

/** One that has ended meanwhile is not looked for. */
function pin(pid: number, cpu: number): void {
  try {
    bindThread(pid, [cpu]);
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
  }
}

export class Isolation {
  private readonly settings: IsolationSettings;
  private readonly log: Log;
  private before: Before = { interrupts: {} };
  /** Processes that were put there, by processor. */
  private readonly joined = new Map<number, number>();

  constructor(settings: IsolationSettings, log: Log) {
    this.settings = settings;
    this.log = log;
  }

  private get path(): string {
    return `${this.settings.socketPath}.isolation`;
  }

  /** Sets the CPUs apart; also after a takeover, when most of it is done already. */
  apply(): void {
    const { cpus } = this.settings;
    this.before = this.readBefore();
    const others = onlineCpus().filter((cpu) => !cpus.includes(cpu));
    if (cpus.length === 0) return;
    if (others.length === 0) {
      this.log.info('CPUs are not set apart: the switching processors have all of them');
      return;
    }
    this.moveInterrupts(others);
    const { partition } = this.before;
    if (partition !== undefined && existsSync(partition)) return;
    const made = makePartition(cpus);
    if ('reason' in made) {
      this.log.info(`no CPU partition: ${made.reason}`);
      return;
    }
    this.note({ ...this.before, partition: made.folder });
    this.log.info(`CPU ${cpus.join(',')} are a partition of their own`);
  }

  /** Whether the CPUs are a partition: nobody outside of it can be bound to them. */
  get hasPartition(): boolean {
    return this.before.partition !== undefined;
  }

  /** A switching processor switches, and has made all its threads: those stay outside. */
  join(processor: number, pid: number): void {
    const { partition } = this.before;
    if (partition === undefined || this.joined.get(processor) === pid) return;
    this.joined.set(processor, pid);
    const refused = joinPartition(partition, pid);
    if (refused !== '') this.log.warning(`process ${pid} runs outside the partition: ${refused}`);
    else pin(pid, this.settings.cpus[processor]);
  }

  /** Puts everything back; when nothing switches any more. */
  restore(): void {
    for (const [interrupt, cpus] of Object.entries(this.before.interrupts)) {
      setInterruptCpus(Number(interrupt), cpus);
    }
    if (this.before.partition !== undefined) removePartition(this.before.partition);
    this.before = { interrupts: {} };
    rmSync(this.path, { force: true });
  }

  private moveInterrupts(others: readonly number[]): void {
    const { cpus, interfaceNames, interruptsOf = interfaceInterrupts } = this.settings;
    for (const name of interfaceNames) {
      for (const interrupt of interruptsOf(name)) {
        const now = interruptCpus(interrupt);
        if (!now.some((cpu) => cpus.includes(cpu))) continue;
        const known = this.before.interrupts[interrupt];
        const interrupts = { ...this.before.interrupts, [interrupt]: known ?? now };
        this.note({ ...this.before, interrupts });
        const refused = setInterruptCpus(interrupt, others);
        const what = `interrupt ${interrupt} of ${name}`;
        if (refused === '') this.log.info(`${what} comes in on CPU ${others.join(',')} now`);
        else this.log.info(`${what} stays on CPU ${now.join(',')}: ${refused}`);
      }
    }
  }

  private note(before: Before): void {
    this.before = before;
    writeOwnFile(this.path, JSON.stringify(before));
  }

  private readBefore(): Before {
    try {
      const found = JSON.parse(readOwnFile(this.path) ?? 'null') as Before | null;
      return typeof found?.interrupts === 'object' ? found : { interrupts: {} };
    } catch {
      return { interrupts: {} };
    }
  }
}
