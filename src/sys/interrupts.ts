// Interrupts of network interfaces and the CPUs that they may come in on. Seed, step 301: no interrupts
// on the switching processors. An interface without hardware (veth, TAP, bridge) has none.
// Kernel documentation: Documentation/core-api/irq/irq-affinity.rst, Documentation/ABI/testing/sysfs-bus-pci
// (msi_irqs).

import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseCpuList } from './affinity.ts';

const DEVICE_LEVELS = 3;

/** Numbers in the folder msi_irqs of a device; undefined where it has none. */
function messageInterrupts(device: string): number[] | undefined {
  try {
    return readdirSync(join(device, 'msi_irqs')).map(Number);
  } catch {
    return undefined;
  }
}

/**
 * Numbers of an interface's interrupts, as /proc/irq has them; empty for an interface without hardware,
 * or one that is not to be seen in this mount of /sys.
 */
export function interfaceInterrupts(name: string): number[] {
  let device: string;
  try {
    device = realpathSync(`/sys/class/net/${name}/device`);
  } catch {
    return [];
  }
  // A virtio interface stands on a virtio device, and only the PCI device below has interrupts.
  for (let level = 0; level < DEVICE_LEVELS; level++) {
    const found = messageInterrupts(device);
    if (found !== undefined) return found.sort((a, b) => a - b);
    device = dirname(device);
  }
  return [];
}

/** CPUs that an interrupt may come in on; empty when that cannot be read. */
export function interruptCpus(interrupt: number): number[] {
  try {
    return parseCpuList(readFileSync(`/proc/irq/${interrupt}/smp_affinity_list`, 'utf8'));
  } catch {
    return [];
  }
}

/**
 * Lets an interrupt come in on these CPUs only.
 * @returns '' or why not: EACCES without the right, EIO when the kernel manages it itself
 */
export function setInterruptCpus(interrupt: number, cpus: readonly number[]): string {
  try {
    writeFileSync(`/proc/irq/${interrupt}/smp_affinity_list`, cpus.join(','));
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
