// What the contenders have in common that work in or upon the kernel's own network stack: it owns the
// addresses, and its receiving half runs in kernel threads on the CPUs under test, so that all that
// the contender costs is spent there and is seen there. (Left alone, a veth's receiving half would run
// on the CPU of the clients.)

import type { BenchNetwork, KernelThread } from '../bench-network.ts';

export interface KernelStack {
  readonly threads: readonly KernelThread[];
  /** Gives the network back as it was. */
  undo(): void;
}

/** Hands the switch's namespace to the kernel, polling on `cpus`. */
export function takeKernelStack(network: BenchNetwork, cpus: readonly number[]): KernelStack {
  const undoes: (() => void)[] = [network.giveAddressesToKernel()];
  const undo = () => {
    for (const each of undoes.reverse()) each();
  };
  const threads: KernelThread[] = [];
  try {
    for (const end of network.switchEnds) {
      const polling = network.pollByThread(end, ...cpus);
      threads.push(...polling.threads);
      undoes.push(polling.undo);
    }
  } catch (error) {
    undo();
    throw error;
  }
  return { threads, undo };
}
