// From a configuration to a running machine: reserves main memory, opens the interfaces, starts the
// processes, and stays as their supervisor until it is told to end. The last part of `weir run`.
// It parses nothing that comes from the network; after the start it has nothing to do but to watch.

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { WeirError } from '../base/errors.ts';
import { Log } from '../base/log.ts';
import {
  computeLayout,
  HEADER_HASH_SEED,
  HEADER_INTERFACES,
  HEADER_STARTED_AT,
  type MemorySizes,
} from '../memory/layout.ts';
import { attachMainMemory, formatMainMemory } from '../memory/region.ts';
import { leaveCpus } from '../sys/affinity.ts';
import { createEvent } from '../sys/event-fd.ts';
import { takeLock } from '../sys/lock.ts';
import { attachMemoryFile, createMemoryFile } from '../sys/main-memory.ts';
import { takeFileDescriptor } from '../sys/process.ts';
import { openTap } from '../sys/tap.ts';
import { ControlDevice, type ControlDeviceSettings } from './control-device.ts';
import { noteNapi } from './interface-block.ts';
import { Isolation } from './isolation.ts';
import { LinkWatch } from './link-watch.ts';
import {
  claimsFileDescriptor,
  InterfaceOpener,
  type InterfaceRequest,
  renewProgram,
} from './open-interfaces.ts';
import { isSameProcess } from './process-identity.ts';
import {
  liveSwitching,
  type MachineState,
  readStateFile,
  runningOfOtherVersion,
  stateFilePath,
} from './state-file.ts';
import { type Machine, Supervisor } from './supervisor.ts';

const NAPI_INTERVAL_MS = 1000;

/** The parts of a configuration that are fixed when weir starts. */
export interface MachineConfiguration {
  readonly interfaces: readonly InterfaceRequest[];
  readonly processors: {
    readonly switching: number;
    readonly idle: 'adaptive' | 'busy';
    readonly cpus?: readonly number[] | undefined;
    readonly isolate: 'auto' | 'off';
  };
  readonly limits: { readonly connections: number; readonly frames: number };
  readonly control?: ControlDeviceSettings | undefined;
}

/**
 * Runs until SIGTERM or SIGINT. Where a supervisor was killed and its processes still switch, it takes
 * those over instead of starting new ones.
 * @returns the exit code
 * @throws WeirError ERR_ALREADY_RUNNING; or when main memory or an interface cannot be had
 */
export async function runSupervisor(
  configuration: MachineConfiguration,
  configurationFile: string,
  socketPath: string,
): Promise<number> {
  process.title = 'weir: supervisor';
  const log = new Log('supervisor');
  const paths = { configurationFile, socketPath };
  mkdirSync(dirname(socketPath), { recursive: true });
  // Held until this process ends: two that start at once cannot both find nobody there.
  const isFirst = takeLock(`${socketPath}.lock`) >= 0;
  const foreign = runningOfOtherVersion(stateFilePath(socketPath));
  if (foreign !== undefined) {
    throw new WeirError(
      'ERR_ALREADY_RUNNING',
      `a weir of another version runs with the control socket ${socketPath} (process ${foreign.pid})`,
      'stop it first: its main memory cannot be taken over',
    );
  }
  const state = readStateFile(stateFilePath(socketPath));
  if (!isFirst || (state !== undefined && isSameProcess(state.supervisor))) {
    const pid = state === undefined ? 'starting' : state.supervisor.pid;
    throw new WeirError(
      'ERR_ALREADY_RUNNING',
      `weir already runs with the control socket ${socketPath} (supervisor ${pid})`,
      '`weir reload` gives it a new configuration; another weir needs another --socket',
    );
  }
  const holder = state === undefined ? undefined : liveSwitching(state);
  if (state !== undefined && holder !== undefined) {
    const { machine, opener } = takeOverMachine(state, holder.pid, paths, log);
    leaveCpus(machine.cpus);
    const isolation = isolate(machine, configuration, log);
    const supervisor = new Supervisor(machine, isolation);
    log.warning('the supervisor before was killed: its processes are taken over as they run');
    supervisor.adopt(state);
    watchDevices(supervisor, opener, log);
    // The file may have changed since; what cannot be taken up now is refused by control, and logged.
    supervisor.reload();
    return await untilStopped(supervisor, isolation, log);
  }
  const { machine, opener } = buildMachine(configuration, paths, log);
  // Who has CPUs of its own has them alone: neither control nor a compiler's thread interrupts it.
  leaveCpus(machine.cpus);
  controlDevice(machine, log)?.make();
  const isolation = isolate(machine, configuration, log);
  const supervisor = new Supervisor(machine, isolation);
  supervisor.start();
  watchDevices(supervisor, opener, log);
  return await untilStopped(supervisor, isolation, log);
}

/** Sets the CPUs of the switching processors apart, if that is wanted. */
function isolate(
  { cpus, interfaceNames, socketPath }: Machine,
  { processors }: MachineConfiguration,
  log: Log,
): Isolation {
  const isWanted = processors.isolate === 'auto';
  const settings = { cpus: isWanted ? cpus : [], interfaceNames, socketPath };
  const isolation = new Isolation(settings, log);
  isolation.apply();
  return isolation;
}

function controlDevice({ memory, control }: Machine, log: Log): ControlDevice | undefined {
  if (control === undefined) return undefined;
  return new ControlDevice(memory, control.settings, control.deviceFileDescriptor, log);
}

/** Keeps what main memory says of the interfaces true, and the pseudo-network device there. */
function watchDevices(supervisor: Supervisor, opener: InterfaceOpener, log: Log): void {
  new LinkWatch(supervisor, opener, log).start();
  setInterval(() => lookForNapi(supervisor.machine), NAPI_INTERVAL_MS).unref();
  controlDevice(supervisor.machine, log)?.watch();
}

function lookForNapi({ memory, interfaces }: Machine): void {
  for (const [interfaceNumber, { queues }] of interfaces.entries()) {
    const sockets = queues.filter(({ kind }) => kind === 'af-xdp');
    if (sockets.length === 0) continue;
    const fds = sockets.map(({ fileDescriptor }) => fileDescriptor);
    noteNapi(memory, interfaceNumber, fds);
  }
}

interface Opened {
  readonly machine: Machine;
  readonly opener: InterfaceOpener;
}

interface Paths {
  readonly configurationFile: string;
  readonly socketPath: string;
}

/** Fresh main memory and freshly opened interfaces. */
function buildMachine(configuration: MachineConfiguration, paths: Paths, log: Log): Opened {
  const { processors, limits, interfaces } = configuration;
  const sizes: MemorySizes = { ...limits, processors: processors.switching };
  const layout = computeLayout(sizes);
  const file = createMemoryFile('weir main memory', layout.totalSize);
  const range = attachMemoryFile(file.fd, layout.totalSize);
  const memory = formatMainMemory(range.buffer, sizes);
  memory.setHeader(HEADER_STARTED_AT, Math.floor(Date.now() / 1000));
  memory.setHeader(HEADER_INTERFACES, interfaces.length);
  memory.setHeader(HEADER_HASH_SEED, randomBytes(4).readInt32LE());
  const size = (layout.totalSize / 2 ** 20).toFixed(0);
  const pages = file.hugePages ? 'huge pages' : 'pages of 4 KiB';
  log.info(`main memory: ${size} MiB in ${pages}, ${limits.connections} connections`);
  const opener = new InterfaceOpener(memory, range, log);
  const machine = {
    memory,
    memoryFileDescriptor: file.fd,
    interfaces: opener.openAll(interfaces),
    interfaceNames: interfaces.map(({ name }) => name),
    eventFileDescriptors: Array.from({ length: processors.switching }, () => createEvent()),
    control: configuration.control && {
      settings: configuration.control,
      deviceFileDescriptor: openTap(),
      daemonEventFileDescriptor: createEvent(),
    },
    idle: processors.idle,
    cpus: processors.cpus ?? [],
    ...paths,
  };
  return { machine, opener };
}

/** The machine of a killed supervisor: its descriptors are copied out of a switching processor. */
function takeOverMachine(state: MachineState, holder: number, paths: Paths, log: Log): Opened {
  const taken = new Map<number, number>();
  const take = (fd: number): number => {
    const copy = taken.get(fd) ?? takeFileDescriptor(holder, fd);
    taken.set(fd, copy);
    return copy;
  };
  const memoryFileDescriptor = take(state.memoryFileDescriptor);
  const range = attachMemoryFile(memoryFileDescriptor, state.memorySize);
  const memory = attachMainMemory(range.buffer);
  const machine = {
    memory,
    memoryFileDescriptor,
    eventFileDescriptors: state.eventFileDescriptors.map(take),
    interfaces: state.interfaces.map(({ isShared, queues, heldFileDescriptors }) => ({
      isShared,
      queues: queues.map((queue) => ({ ...queue, fileDescriptor: take(queue.fileDescriptor) })),
      heldFileDescriptors: heldFileDescriptors.map(take),
    })),
    interfaceNames: state.interfaceNames,
    control: state.controlDevice && {
      settings: state.controlDevice.settings,
      deviceFileDescriptor: take(state.controlDevice.deviceFileDescriptor),
      daemonEventFileDescriptor: take(state.controlDevice.daemonEventFileDescriptor),
    },
    idle: state.idle,
    cpus: state.cpus,
    ...paths,
  };
  const interfaces = machine.interfaces.map((parts) => renewProgram(parts, log));
  const claimsFd = claimsFileDescriptor(interfaces);
  const opener = new InterfaceOpener(memory, range, log, claimsFd);
  return { machine: { ...machine, interfaces }, opener };
}

/** Resolves to the exit code when a signal has ended everything. */
function untilStopped(supervisor: Supervisor, isolation: Isolation, log: Log): Promise<number> {
  return new Promise((resolve) => {
    let isStopping = false;
    const stop = (signal: string): void => {
      if (isStopping) return;
      isStopping = true;
      log.info(`stopping (${signal})`);
      void supervisor.stop().then(() => {
        isolation.restore();
        log.info('stopped');
        resolve(0);
      });
    };
    process.on('SIGTERM', () => stop('SIGTERM'));
    process.on('SIGINT', () => stop('SIGINT'));
    process.on('SIGHUP', () => supervisor.reload());
  });
}
