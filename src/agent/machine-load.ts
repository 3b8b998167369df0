// The load of this machine, or of the container that the agent runs in, as Linux tells everybody:
// CPU and memory utilisation and pressure. A few small files are read per report; no right is
// needed for any of them.
//
// In a container with limits (control-group.ts) a utilisation is the larger one of two: of its own
// limit and of the machine, because the work waits for whichever is used up.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadFigure, LoadFigures } from '../load/load-report.ts';
import {
  groupCpuTimeUs,
  groupMemoryUtilization,
  groupPressures,
  groupProcessorLimit,
} from './control-group.ts';
import { parseMemoryUtilization } from './memory-use.ts';
import { parsePressure } from './pressure.ts';
import { type ProcessorTime, parseProcessorTime, utilizationBetween } from './processor-time.ts';

const CONTAINER_GROUP = '/sys/fs/cgroup';

interface GroupTime {
  readonly usedUs: number;
  readonly atMs: number;
}

export interface MachineLoadOptions {
  /** 'auto': the container's, if this is one; 'off': the machine alone; else the group's folder. */
  readonly controlGroup: string;
  /** Where the kernel's files are; '/proc' but in tests. */
  readonly procFolder?: string;
}

/** Reads figures again and again; those of CPUs are means since the reading before. */
export class MachineLoad {
  private readonly proc: string;
  private readonly groupFolder: string | undefined;
  private time: ProcessorTime | undefined;
  private groupTime: GroupTime | undefined;

  constructor({ controlGroup, procFolder = '/proc' }: MachineLoadOptions) {
    this.proc = procFolder;
    if (controlGroup === 'auto') this.groupFolder = CONTAINER_GROUP;
    else this.groupFolder = controlGroup === 'off' ? undefined : controlGroup;
  }

  /**
   * The figures now.
   *
   * @param nowMs monotonic milliseconds
   * @returns what could be read; CPU utilisation only from the second call on
   */
  sample(nowMs: number): LoadFigures {
    const figures: { -readonly [figure in LoadFigure]?: number } = {};
    const put = (figure: LoadFigure, value: number | undefined): void => {
      if (value !== undefined) figures[figure] = value;
    };
    put('cpuUtilization', larger(this.machineCpu(), this.groupCpu(nowMs)));
    const ofGroup = this.isLimited() ? groupMemoryUtilization(this.readGroup) : undefined;
    put('memoryUtilization', larger(parseMemoryUtilization(this.read('meminfo')), ofGroup));
    put('cpuPressure', parsePressure(this.read('pressure/cpu')));
    put('memoryPressure', parsePressure(this.read('pressure/memory')));
    put('ioPressure', parsePressure(this.read('pressure/io')));
    return this.isLimited() ? { ...figures, ...groupPressures(this.readGroup) } : figures;
  }

  private machineCpu(): number | undefined {
    const before = this.time;
    this.time = parseProcessorTime(this.read('stat'));
    if (before === undefined || this.time === undefined) return undefined;
    return utilizationBetween(before, this.time);
  }

  private groupCpu(nowMs: number): number | undefined {
    if (!this.isLimited()) return undefined;
    const before = this.groupTime;
    const usedUs = groupCpuTimeUs(this.readGroup);
    this.groupTime = usedUs === undefined ? undefined : { usedUs, atMs: nowMs };
    const limit = groupProcessorLimit(this.readGroup);
    if (before === undefined || usedUs === undefined || limit === undefined) return undefined;
    const availableUs = (nowMs - before.atMs) * 1000 * limit;
    return availableUs <= 0 ? undefined : Math.max(0, (usedUs - before.usedUs) / availableUs);
  }

  /** A machine's own root group has neither file; reading it would say nothing new. */
  private isLimited(): boolean {
    return (
      this.groupFolder !== undefined &&
      (this.readGroup('cpu.max') !== undefined || this.readGroup('memory.max') !== undefined)
    );
  }

  private read(name: string): string {
    return readText(join(this.proc, name)) ?? '';
  }

  private readonly readGroup = (name: string): string | undefined =>
    this.groupFolder === undefined ? undefined : readText(join(this.groupFolder, name));
}

/** Files of the kernel are there at once and not long. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function larger(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}
