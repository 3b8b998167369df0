// The limits of a container: control groups, version 2 (Linux:
// Documentation/admin-guide/cgroup-v2.rst). In a container the root of its own hierarchy has the
// files cpu.max and memory.max; the root of a machine has not, so that they are found where they
// are says which of the two it is. An operator can also name a group (a systemd unit's, say), whose
// use and limits then count.
//
// Invariant: without a limit there is no figure; then the machine's own counts.

import type { LoadFigures } from '../load/load-report.ts';
import { parsePressure } from './pressure.ts';

/** Reads a file below the group, undefined when it cannot be read. */
export type ReadGroupFile = (name: string) => string | undefined;

/** CPU time used so far, in microseconds of one CPU; undefined without cpu.stat. */
export function groupCpuTimeUs(read: ReadGroupFile): number | undefined {
  const match = /^usage_usec ([0-9]+)$/m.exec(read('cpu.stat') ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** How many CPUs' worth of time the group may use at most; undefined when it is not limited. */
export function groupProcessorLimit(read: ReadGroupFile): number | undefined {
  const match = /^([0-9]+) ([0-9]+)$/m.exec(read('cpu.max') ?? '');
  if (match === null) return undefined;
  const processors = Number(match[1]) / Number(match[2]);
  return Number.isFinite(processors) && processors > 0 ? processors : undefined;
}

/** Used share of the memory limit, 0 to 1, less file caches that can be given back. */
export function groupMemoryUtilization(read: ReadGroupFile): number | undefined {
  const limit = wholeNumber(read('memory.max'));
  const current = wholeNumber(read('memory.current'));
  if (limit === undefined || current === undefined || limit === 0) return undefined;
  const cache = /^inactive_file ([0-9]+)$/m.exec(read('memory.stat') ?? '');
  const used = current - (cache === null ? 0 : Number(cache[1]));
  return Math.min(1, Math.max(0, used / limit));
}

/** The group's own pressures, as far as the kernel has them. */
export function groupPressures(read: ReadGroupFile): LoadFigures {
  const figures: { -readonly [figure in keyof LoadFigures]: number } = {};
  for (const [figure, name] of [
    ['cpuPressure', 'cpu.pressure'],
    ['memoryPressure', 'memory.pressure'],
    ['ioPressure', 'io.pressure'],
  ] as const) {
    const pressure = parsePressure(read(name) ?? '');
    if (pressure !== undefined) figures[figure] = pressure;
  }
  return figures;
}

function wholeNumber(text: string | undefined): number | undefined {
  const match = /^([0-9]+)\s*$/.exec(text ?? '');
  return match === null ? undefined : Number(match[1]);
}
