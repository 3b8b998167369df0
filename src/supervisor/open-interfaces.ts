// Opens the network interfaces of the configuration (E3): each with the best kind that it and our
// rights allow, its queues dealt out to the switching processors, and its block in main memory written.
// The sockets are only opened here; the switching processors map their rings and use them.

import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { QueuePlan } from '../base/process-plan.ts';
import { INTERFACE_BUSY_POLL_BUDGET, MAX_QUEUES } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { LISTENER_GEOMETRY, openArpListener } from '../netif/af-packet/listen.ts';
import { openAfPacket } from '../netif/af-packet/open.ts';
import { AfXdpOpener, type AfXdpOptions, isInterfaceTaken } from '../netif/af-xdp/open.ts';
import { replaceXdpProgram } from '../sys/bpf.ts';
import { whyRefused } from '../sys/busy-poll.ts';
import { createClaimsMap } from '../sys/claims-map.ts';
import { closeFd } from '../sys/libc.ts';
import { readLink } from '../sys/link.ts';
import type { ReservedRange } from '../sys/main-memory.ts';
import { loadSharedProgram } from '../sys/shared-program.ts';
import { assignQueues } from './assignment.ts';
import { noteNapi, type OpenedState, writeInterfaceBlock } from './interface-block.ts';

/** An interface as the configuration asks for it. */
export interface InterfaceRequest {
  readonly name: string;
  readonly kind: 'auto' | 'af-xdp' | 'af-packet';
  readonly mode?: 'dedicated' | 'shared';
  readonly queues: number | 'auto';
  readonly processor?: number | undefined;
  readonly 'busy-poll'?: { readonly budget: number } | undefined;
}

interface OpenedInterface extends OpenedState {
  readonly fileDescriptors: readonly number[];
  readonly geometry: unknown;
  /** Keep the program on the interface for as long as anybody has them open. */
  readonly held: readonly number[];
  /** Hears ARP on an interface that stays the kernel's. */
  readonly listener?: number;
}

/** What an opened interface adds to the machine. */
export interface InterfaceParts {
  /** It stays the kernel's, but for what is claimed. */
  readonly isShared: boolean;
  readonly queues: readonly QueuePlan[];
  /** With AF_XDP: link, program, map of sockets; of a shared interface the claims as well. */
  readonly heldFileDescriptors: readonly number[];
}

const HELD_LINK = 0;
const HELD_PROGRAM = 1;
const HELD_SOCKETS = 2;
const HELD_CLAIMS = 3;

/** The claims that all shared interfaces have together, or -1 when there is none. */
export function claimsFileDescriptor(interfaces: readonly InterfaceParts[]): number {
  const shared = interfaces.find(({ isShared }) => isShared);
  return shared?.heldFileDescriptors[HELD_CLAIMS] ?? -1;
}

/**
 * Puts this version's program on a shared interface that another supervisor has opened, while frames
 * come in: each finds the one or the other.
 */
export function renewProgram(parts: InterfaceParts, log: Log): InterfaceParts {
  if (!parts.isShared) return parts;
  const held = [...parts.heldFileDescriptors];
  const { interfaceNumber, interfaceName } = parts.queues[0];
  try {
    const program = loadSharedProgram(held[HELD_SOCKETS], held[HELD_CLAIMS], interfaceNumber);
    replaceXdpProgram(held[HELD_LINK], program);
    closeFd(held[HELD_PROGRAM]);
    held[HELD_PROGRAM] = program;
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    log.warning(`${interfaceName}: goes on with the program that it has: ${error.message}`);
  }
  return { ...parts, heldFileDescriptors: held };
}

/** Opens interfaces into one main memory: all at the start, one again when it has come back. */
export class InterfaceOpener {
  private readonly memory: MainMemory;
  private readonly opener: AfXdpOpener;
  private readonly log: Log;
  /** -1 until a shared interface needs them. */
  private claimsFd: number;

  /** @param claimsFd the claims of shared interfaces that are open already, or -1 */
  constructor(memory: MainMemory, range: ReservedRange, log: Log, claimsFd = -1) {
    this.memory = memory;
    this.opener = new AfXdpOpener(range, memory.layout);
    this.log = log;
    this.claimsFd = claimsFd;
  }

  /** Opens all of them, or throws and leaves closing to the end of the process. */
  openAll(requests: readonly InterfaceRequest[]): InterfaceParts[] {
    const { processors } = this.memory.layout;
    const opened = requests.map((request, i) => this.open(request, i));
    const assignment = assignQueues(
      opened.map(({ fileDescriptors }, i) => ({
        queues: fileDescriptors.length,
        processor: requests[i].processor,
      })),
      processors,
    );
    let socketNumber = 0;
    return opened.map((one, interfaceNumber) => {
      const parts = this.parts(one, interfaceNumber, assignment[interfaceNumber], socketNumber);
      socketNumber += parts.queues.length;
      return parts;
    });
  }

  /**
   * Opens an interface that was deleted and made anew, as it was before: the same kind, queues, pollers
   * and socket numbers.
   */
  reopen(before: InterfaceParts): InterfaceParts {
    const [{ interfaceName: name, interfaceNumber, kind, socketNumber }] = before.queues;
    const polled = before.queues.filter((queue) => queue.kind === kind);
    const mode = before.isShared ? 'shared' : 'dedicated';
    const budget =
      this.memory.words[this.memory.interfaceWord(interfaceNumber, INTERFACE_BUSY_POLL_BUDGET)];
    const busyPoll = budget === 0 ? undefined : { budget };
    const request = { name, kind, mode, queues: polled.length, 'busy-poll': busyPoll } as const;
    const opened = this.open(request, interfaceNumber);
    const processors = polled.map(({ processor }) => processor);
    return this.parts(opened, interfaceNumber, processors, socketNumber);
  }

  private open(request: InterfaceRequest, interfaceNumber: number): OpenedInterface {
    if (request.mode === 'shared') return this.openShared(request, interfaceNumber);
    return openOne(request, this.opener, this.memory.layout.processors, this.log);
  }

  private openShared(request: InterfaceRequest, interfaceNumber: number): OpenedInterface {
    if (this.claimsFd === -1) this.claimsFd = createClaimsMap();
    const shared = { claimsFd: this.claimsFd, interfaceNumber };
    const opened = openAfXdp(request, this.opener, this.log, shared);
    const listener = openArpListener(request.name, opened.link.index);
    return { ...opened, held: [...opened.held, this.claimsFd], listener };
  }

  private parts(
    opened: OpenedInterface,
    interfaceNumber: number,
    processorOfQueue: readonly number[],
    firstSocketNumber: number,
  ): InterfaceParts {
    const { kind, mode, link, fileDescriptors, geometry, held, listener } = opened;
    const { busyPollBudget, busyPollErrno } = opened;
    writeInterfaceBlock(this.memory, interfaceNumber, opened, processorOfQueue);
    if (kind === 'af-xdp') noteNapi(this.memory, interfaceNumber, fileDescriptors);
    this.log.info(
      `${link.name}: ${kind}, ${mode}${listener === undefined ? '' : ', shared'}, ${fileDescriptors.length} queue(s) ` +
        `polled by switching processor ${processorOfQueue.join(', ')}`,
    );
    const isBusyPolled = kind === 'af-xdp' && busyPollBudget > 0 && busyPollErrno === 0;
    const queues = fileDescriptors.map((fileDescriptor, queue): QueuePlan => {
      const socketNumber = firstSocketNumber + queue;
      const processor = processorOfQueue[queue];
      const interfaceName = link.name;
      const common = { interfaceNumber, interfaceName, kind, queue, processor, socketNumber };
      return { ...common, fileDescriptor, isBusyPolled, geometry };
    });
    if (listener !== undefined) queues.push(listenerQueue(queues, listener));
    return { isShared: listener !== undefined, queues, heldFileDescriptors: held };
  }
}

/** One more queue, for the processor that polls the first one; never sent on. */
function listenerQueue(queues: readonly QueuePlan[], fileDescriptor: number): QueuePlan {
  return {
    ...queues[0],
    kind: 'af-packet',
    isBusyPolled: false,
    queue: queues.length,
    socketNumber: queues[0].socketNumber + queues.length,
    fileDescriptor,
    geometry: LISTENER_GEOMETRY,
  };
}

/** As many queues as asked for, else all: frames of a queue that nobody polls would not reach us. */
function queueCount(request: InterfaceRequest, available: number): number {
  if (request.queues !== 'auto') return request.queues;
  return Math.max(1, Math.min(available, MAX_QUEUES));
}

function openOne(
  request: InterfaceRequest,
  opener: AfXdpOpener,
  processors: number,
  log: Log,
): OpenedInterface {
  const { name, kind } = request;
  if (kind === 'af-packet') return openPacketRings(request, processors, log);
  try {
    return openAfXdp(request, opener, log);
  } catch (error) {
    if (kind === 'af-xdp' || !(error instanceof WeirError)) throw error;
    if (error.code === 'ERR_INTERFACE_NOT_FOUND') throw error;
    // With packet rings there would be nothing to receive, or what another weir answers as well.
    if (isInterfaceTaken(error)) throw error;
    log.warning(`${name}: af-xdp cannot be had, af-packet is used: ${error.message}`);
    return openPacketRings(request, processors, log);
  }
}

function openAfXdp(
  request: InterfaceRequest,
  opener: AfXdpOpener,
  log: Log,
  shared?: AfXdpOptions['shared'],
): OpenedInterface {
  const { name } = request;
  const count = queueCount(request, readLink(name).queues);
  const queues = Array.from({ length: count }, (_, i) => i);
  const budget = request['busy-poll']?.budget;
  const options = { name, queues, busyPollBudget: budget, ...(shared && { shared }) };
  const { link, mode, sockets, refused, busyPollErrno, heldFileDescriptors } = opener.open(options);
  for (const reason of refused) log.info(`${name}: not ${reason}`);
  if (busyPollErrno !== 0) log.warning(`${name}: no busy polling: ${whyRefused(busyPollErrno)}`);
  return {
    kind: 'af-xdp',
    mode,
    link,
    busyPollBudget: budget ?? 0,
    busyPollErrno,
    fileDescriptors: sockets.map(({ fileDescriptor }) => fileDescriptor),
    geometry: sockets[0].ringSizes,
    held: heldFileDescriptors,
  };
}

function openPacketRings(request: InterfaceRequest, processors: number, log: Log): OpenedInterface {
  const { name } = request;
  const wanted = request.queues === 'auto' ? undefined : request.queues;
  const queues = wanted ?? (request.processor === undefined ? processors : 1);
  const opened = openAfPacket({ interfaceName: name, queues });
  for (const warning of opened.warnings) log.warning(`${name}: ${warning}`);
  return {
    kind: 'af-packet',
    mode: opened.mode,
    link: readLink(name),
    fileDescriptors: opened.fileDescriptors,
    geometry: opened.geometry,
    busyPollBudget: request['busy-poll']?.budget ?? 0,
    busyPollErrno: 0,
    held: [],
  };
}
