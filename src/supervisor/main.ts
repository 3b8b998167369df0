// From a configuration to a running machine: reserves main memory, opens the interfaces, starts the
// processes, and stays as their supervisor until it is told to end. The last part of `weir run`.

import { Log } from '../base/log.ts';
import {
  computeLayout,
  HEADER_INTERFACES,
  HEADER_STARTED_AT,
  type MemorySizes,
} from '../memory/layout.ts';
import { formatMainMemory } from '../memory/region.ts';
import { createEvent } from '../sys/event-fd.ts';
import { attachMemoryFile, createMemoryFile } from '../sys/main-memory.ts';
import { type InterfaceRequest, openInterfaces } from './open-interfaces.ts';
import { Supervisor } from './supervisor.ts';

/** The parts of a configuration that are fixed when weir starts. */
export interface MachineConfiguration {
  readonly interfaces: readonly InterfaceRequest[];
  readonly processors: {
    readonly switching: number;
    readonly idle: 'adaptive' | 'busy';
    readonly cpus?: readonly number[] | undefined;
  };
  readonly limits: { readonly connections: number; readonly frames: number };
}

/**
 * Runs until SIGTERM or SIGINT. @returns the exit code
 * @throws WeirError when main memory or an interface cannot be had; nothing runs then
 */
export async function runSupervisor(
  configuration: MachineConfiguration,
  configurationFile: string,
  socketPath: string,
): Promise<number> {
  process.title = 'weir: supervisor';
  const log = new Log('supervisor');
  const { processors, limits, interfaces } = configuration;
  const sizes: MemorySizes = { ...limits, processors: processors.switching };
  const layout = computeLayout(sizes);
  const file = createMemoryFile('weir main memory', layout.totalSize);
  const range = attachMemoryFile(file.fd, layout.totalSize);
  const memory = formatMainMemory(range.buffer, sizes);
  memory.setHeader(HEADER_STARTED_AT, Math.floor(Date.now() / 1000));
  memory.setHeader(HEADER_INTERFACES, interfaces.length);
  const size = (layout.totalSize / 2 ** 20).toFixed(0);
  const pages = file.hugePages ? 'huge pages' : 'pages of 4 KiB';
  log.info(`main memory: ${size} MiB in ${pages}, ${limits.connections} connections`);
  const opened = openInterfaces(interfaces, memory, range, log);
  const supervisor = new Supervisor({
    memory,
    memoryFileDescriptor: file.fd,
    ...opened,
    interfaceNames: interfaces.map(({ name }) => name),
    eventFileDescriptors: Array.from({ length: processors.switching }, () => createEvent()),
    idle: processors.idle,
    cpus: processors.cpus ?? [],
    configurationFile,
    socketPath,
  });
  supervisor.noteCpus();
  supervisor.start();
  return await new Promise((resolve) => {
    let isStopping = false;
    const stop = (signal: string): void => {
      if (isStopping) return;
      isStopping = true;
      log.info(`stopping (${signal})`);
      void supervisor.stop().then(() => {
        log.info('stopped');
        resolve(0);
      });
    };
    process.on('SIGTERM', () => stop('SIGTERM'));
    process.on('SIGINT', () => stop('SIGINT'));
    process.on('SIGHUP', () => supervisor.reload());
  });
}
