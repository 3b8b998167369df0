// What HAProxy and nginx share as contenders: both end the client's connection and make one of their
// own to the server, in user space. They run in the switch's namespace on the CPUs under test, where the
// kernel's receiving half runs, too. Their own ports must suffice for all connections to the servers,
// those in TIME_WAIT included.

import { readFileSync } from 'node:fs';
import { processesIn } from '../../../src/lab/clean-up.ts';
import { execute, start as startProgram, waitUntil } from '../../../src/lab/command.ts';
import type { BenchNetwork } from '../bench-network.ts';
import type { RunningContender, Wanted } from '../contender.ts';
import { takeKernelStack } from './kernel.ts';

const PLENTY_OF_PORTS = ['net.ipv4.ip_local_port_range=1024 65535', 'net.ipv4.tcp_tw_reuse=1'];
const READY_DEADLINE_MS = 10_000;

/**
 * Connections that a proxy can have here: each takes two files. Node raises its own limit as far as it
 * may, and what it starts inherits that.
 */
export function mostProxied(): number {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const files = /^Max open files\s+\S+\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return files === undefined || files === 'unlimited'
    ? 1 << 20
    : Math.floor((Number(files) - 64) / 2);
}

export interface ProxyCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly logFile: string;
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
}

function isOpen(namespace: string, { protocol, port }: Wanted): boolean {
  const { stdout } = execute('cat', [`/proc/net/${protocol}`], { namespace, mayFail: true });
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const state = protocol === 'tcp' ? '0A' : '07';
  return stdout.split('\n').some((line) => {
    const columns = line.trim().split(/\s+/);
    return columns[1]?.endsWith(wanted) && columns[3] === state;
  });
}

/** Runs a proxy in the switch's place; it listens when this resolves. */
export async function startProxy(
  network: BenchNetwork,
  wanted: Wanted,
  command: ProxyCommand,
): Promise<RunningContender> {
  const { program, args, logFile } = command;
  const namespace = network.switchNamespace;
  const stack = takeKernelStack(network, wanted.cpus);
  execute('sysctl', ['-q', '-w', ...PLENTY_OF_PORTS], { namespace });
  const proxy = startProgram(program, [...args], { namespace, logFile });
  const stop = async () => {
    await proxy.stop();
    stack.undo();
  };
  try {
    await waitUntil(
      `${program} listens on port ${wanted.port}`,
      () => !proxy.isRunning() || isOpen(namespace, wanted),
      READY_DEADLINE_MS,
      () => proxy.log(),
    );
    if (!proxy.isRunning()) throw new Error(`${program} has ended: ${proxy.log().trim()}`);
    await network.waitUntilReachable(network.virtualAddress);
  } catch (error) {
    await stop();
    throw error;
  }
  const own = () =>
    processesIn(namespace)
      .map((pid) => ({ pid, name: nameOf(pid) }))
      .filter(({ name }) => name.startsWith(program));
  return {
    target: network.serviceTarget(wanted.port),
    processes: () => [...own(), ...stack.threads],
    stop,
  };
}
