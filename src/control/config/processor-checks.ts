// Checks of a configuration against the machine: switching processors, CPUs, queues, memory.
//
// Invariant: with fewer CPUs than processors weir still works (they sleep when there is no traffic),
// so that is a warning; beyond four times the CPUs it is taken for a mistake.

import { MAIN_MEMORY_SIZE_MAX, mainMemorySize } from '../../memory/layout.ts';
import type {
  AvailableCpus,
  CheckResult,
  ConfigurationParts,
  LimitsPart,
  ProcessorsPart,
} from './parts.ts';

const MOST_PROCESSORS_PER_CPU = 4;

/** Adds what is wrong with processors and limits to `result`. */
export function processorChecks(
  parts: ConfigurationParts,
  availableCpus: AvailableCpus,
  result: CheckResult,
): void {
  const { processors } = parts;
  const { switching } = processors;
  checkMemory(parts.limits, switching ?? 1, result);
  if (switching === undefined) return;
  const cpuCount = typeof availableCpus === 'number' ? availableCpus : availableCpus.length;
  checkCpuCount(switching, processors.idle, cpuCount, result);
  checkCpuList(switching, processors.cpus, availableCpus, result);
  parts.interfaces.forEach((item, index) => {
    if (item.processor === undefined || item.processor < switching) return;
    const message = `there is no switching processor ${item.processor}: there are ${switching}, counted from 0`;
    const suggestion = `write 0${switching > 1 ? ` to ${switching - 1}` : ''}`;
    result.faults.push({ path: ['interfaces', index, 'processor'], message, suggestion });
  });
  checkQueues(parts, switching, result);
}

function checkMemory(
  { connections, frames }: LimitsPart,
  switching: number,
  { faults }: CheckResult,
): void {
  if (connections === undefined || frames === undefined) return;
  const sizeWith = (count: number): number =>
    mainMemorySize({ connections: count, frames, processors: switching });
  if (sizeWith(connections) <= MAIN_MEMORY_SIZE_MAX) return;
  // The largest round number that fits, by halving steps.
  let room = 0;
  for (let step = 1 << 23; step >= 1024; step /= 2) {
    if (sizeWith(room + step) <= MAIN_MEMORY_SIZE_MAX) room += step;
  }
  const message = `${connections} connections and ${frames} frames do not fit into 2 GiB`;
  const suggestion =
    room === 0
      ? 'configure fewer frames'
      : `with ${frames} frames there is room for ${room} connections`;
  faults.push({ path: ['limits', 'connections'], message, suggestion });
}

function checkCpuCount(
  switching: number,
  idle: ProcessorsPart['idle'],
  cpus: number,
  { faults, warnings }: CheckResult,
): void {
  const path = ['processors', 'switching'];
  const few = `${cpus} CPU${cpus === 1 ? '' : 's'}`;
  if (switching > cpus * MOST_PROCESSORS_PER_CPU) {
    const message = `${switching} switching processors are too many for ${few}`;
    faults.push({ path, message, suggestion: `write ${Math.max(1, cpus - 1)}` });
  } else if (switching > cpus) {
    const message = `${switching} switching processors share ${few}`;
    warnings.push({ path, message, suggestion: `write ${Math.max(1, cpus - 1)}` });
  } else if (idle === 'busy' && switching >= cpus) {
    const message = `${switching} busy switching processors leave none of ${few} to the control processor`;
    const suggestion = cpus > 1 ? `use idle: adaptive, or switching: ${cpus - 1}` : 'use adaptive';
    warnings.push({ path: ['processors', 'idle'], message, suggestion });
    return;
  }
  if (idle === 'busy' && switching > cpus) {
    const message = `${switching} busy switching processors would take turns on ${few}`;
    warnings.push({ path: ['processors', 'idle'], message, suggestion: 'use idle: adaptive' });
  }
}

function checkCpuList(
  switching: number,
  cpus: readonly number[] | undefined,
  available: AvailableCpus,
  { faults }: CheckResult,
): void {
  if (cpus === undefined) return;
  if (cpus.length !== switching) {
    const message = `${cpus.length} CPU${cpus.length === 1 ? '' : 's'} for ${switching} switching processors`;
    const suggestion = 'name one CPU for each switching processor';
    faults.push({ path: ['processors', 'cpus'], message, suggestion });
  }
  cpus.forEach((cpu, index) => {
    const path = ['processors', 'cpus', index];
    if (!isAvailable(cpu, available)) {
      const message = `weir may not run on CPU ${cpu}`;
      faults.push({ path, message, suggestion: cpusInWords(available) });
    } else if (cpus.indexOf(cpu) !== index) {
      const message = `CPU ${cpu} is named twice`;
      faults.push({ path, message, suggestion: 'name another CPU' });
    }
  });
}

function isAvailable(cpu: number, available: AvailableCpus): boolean {
  return typeof available === 'number' ? cpu < available : available.includes(cpu);
}

function cpusInWords(available: AvailableCpus): string {
  if (typeof available !== 'number') return `weir may run on CPU ${available.join(', ')}`;
  return `this machine has CPU 0${available > 1 ? ` to ${available - 1}` : ''}`;
}

/** How many processors can have something to poll? Unknown while an interface has `auto` queues. */
function checkQueues(
  { interfaces }: ConfigurationParts,
  switching: number,
  { warnings }: CheckResult,
): void {
  const polled = new Set<number>();
  let spreadQueues = 0;
  for (const item of interfaces) {
    if (item.processor !== undefined) polled.add(item.processor);
    else if (item.queues === undefined || item.queues === 'auto') return;
    else spreadQueues += item.queues;
  }
  const most = polled.size + spreadQueues;
  if (interfaces.length === 0 || switching <= most) return;
  const message = `${switching} switching processors, but queues for ${most} only: the others idle`;
  const suggestion = `write ${Math.max(1, most)}, or give the interfaces more queues`;
  warnings.push({ path: ['processors', 'switching'], message, suggestion });
}
