// Opens the network interfaces of the configuration (E3): each with the best kind that it and our
// rights allow, its queues dealt out to the switching processors, and its block in main memory written.
// The sockets are only opened here; the switching processors map their rings and use them.

import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { QueuePlan } from '../base/process-plan.ts';
import {
  INTERFACE_INDEX,
  INTERFACE_KIND,
  INTERFACE_LINK_UP,
  INTERFACE_MAC_HIGH,
  INTERFACE_MAC_LOW,
  INTERFACE_MODE,
  INTERFACE_MTU,
  INTERFACE_NAME,
  INTERFACE_QUEUE_PROCESSOR,
  INTERFACE_QUEUES,
  MAX_QUEUES,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { openAfPacket } from '../netif/af-packet/open.ts';
import { AfXdpOpener, isInterfaceTaken } from '../netif/af-xdp/open.ts';
import { INTERFACE_KINDS, INTERFACE_MODES, type InterfaceMode } from '../netif/contract.ts';
import { type LinkState, readLink } from '../sys/link.ts';
import type { ReservedRange } from '../sys/main-memory.ts';
import { assignQueues } from './assignment.ts';

/** An interface as the configuration asks for it. */
export interface InterfaceRequest {
  readonly name: string;
  readonly kind: 'auto' | 'af-xdp' | 'af-packet';
  readonly queues: number | 'auto';
  readonly processor?: number | undefined;
}

interface OpenedInterface {
  readonly kind: 'af-xdp' | 'af-packet';
  readonly mode: InterfaceMode;
  readonly link: LinkState;
  readonly fileDescriptors: readonly number[];
  readonly geometry: unknown;
  /** Keep the program on the interface for as long as anybody has them open. */
  readonly held: readonly number[];
}

/** What an opened interface adds to the machine. */
export interface InterfaceParts {
  readonly queues: readonly QueuePlan[];
  readonly heldFileDescriptors: readonly number[];
}

/** Opens interfaces into one main memory: all at the start, one again when it has come back. */
export class InterfaceOpener {
  private readonly memory: MainMemory;
  private readonly opener: AfXdpOpener;
  private readonly log: Log;

  constructor(memory: MainMemory, range: ReservedRange, log: Log) {
    this.memory = memory;
    this.opener = new AfXdpOpener(range, memory.layout);
    this.log = log;
  }

  /** Opens all of them, or throws and leaves closing to the end of the process. */
  openAll(requests: readonly InterfaceRequest[]): InterfaceParts[] {
    const { processors } = this.memory.layout;
    const opened = requests.map((request) => this.open(request));
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
  reopen(before: readonly QueuePlan[]): InterfaceParts {
    const [{ interfaceName: name, interfaceNumber, kind, socketNumber }] = before;
    const opened = this.open({ name, kind, queues: before.length });
    const processors = before.map(({ processor }) => processor);
    return this.parts(opened, interfaceNumber, processors, socketNumber);
  }

  private open(request: InterfaceRequest): OpenedInterface {
    return openOne(request, this.opener, this.memory.layout.processors, this.log);
  }

  private parts(
    opened: OpenedInterface,
    interfaceNumber: number,
    processorOfQueue: readonly number[],
    firstSocketNumber: number,
  ): InterfaceParts {
    const { kind, mode, link, fileDescriptors, geometry, held } = opened;
    writeInterfaceBlock(this.memory, interfaceNumber, opened, processorOfQueue);
    this.log.info(
      `${link.name}: ${kind}, ${mode}, ${fileDescriptors.length} queue(s) ` +
        `polled by switching processor ${processorOfQueue.join(', ')}`,
    );
    const queues = fileDescriptors.map((fileDescriptor, queue) => ({
      interfaceNumber,
      interfaceName: link.name,
      kind,
      queue,
      processor: processorOfQueue[queue],
      socketNumber: firstSocketNumber + queue,
      fileDescriptor,
      geometry,
    }));
    return { queues, heldFileDescriptors: held };
  }
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
    const available = readLink(name).queues;
    const count = queueCount(request, available);
    const queues = Array.from({ length: count }, (_, i) => i);
    const { link, mode, sockets, refused, heldFileDescriptors } = opener.open({ name, queues });
    for (const reason of refused) log.info(`${name}: not ${reason}`);
    return {
      kind: 'af-xdp',
      mode,
      link,
      fileDescriptors: sockets.map(({ fileDescriptor }) => fileDescriptor),
      geometry: sockets[0].ringSizes,
      held: heldFileDescriptors,
    };
  } catch (error) {
    if (kind === 'af-xdp' || !(error instanceof WeirError)) throw error;
    if (error.code === 'ERR_INTERFACE_NOT_FOUND') throw error;
    // With packet rings there would be nothing to receive, or what another weir answers as well.
    if (isInterfaceTaken(error)) throw error;
    log.warning(`${name}: af-xdp cannot be had, af-packet is used: ${error.message}`);
    return openPacketRings(request, processors, log);
  }
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
    held: [],
  };
}

function writeInterfaceBlock(
  memory: MainMemory,
  interfaceNumber: number,
  opened: OpenedInterface,
  processorOfQueue: readonly number[],
): void {
  const { link, kind, mode } = opened;
  const set = (word: number, value: number): void => {
    Atomics.store(memory.words, memory.interfaceWord(interfaceNumber, word), value);
  };
  set(INTERFACE_KIND, INTERFACE_KINDS.indexOf(kind));
  set(INTERFACE_MODE, INTERFACE_MODES.indexOf(mode));
  set(INTERFACE_QUEUES, processorOfQueue.length);
  for (const [queue, processor] of processorOfQueue.entries()) {
    set(INTERFACE_QUEUE_PROCESSOR + queue, processor);
  }
  const start = memory.interfaceWord(interfaceNumber, INTERFACE_NAME) * 4;
  memory.bytes.fill(0, start, start + 16);
  memory.bytes.set(Buffer.from(link.name, 'ascii').subarray(0, 15), start);
  noteLink(memory, interfaceNumber, link);
}

/** Writes what can change of a link: state, MAC address, MTU. */
export function noteLink(memory: MainMemory, interfaceNumber: number, link: LinkState): void {
  const set = (word: number, value: number): void => {
    Atomics.store(memory.words, memory.interfaceWord(interfaceNumber, word), value);
  };
  const mac = new DataView(link.mac.buffer, link.mac.byteOffset, 6);
  set(INTERFACE_INDEX, link.index);
  set(INTERFACE_MAC_HIGH, mac.getUint16(0));
  set(INTERFACE_MAC_LOW, mac.getInt32(2));
  set(INTERFACE_MTU, link.mtu);
  set(INTERFACE_LINK_UP, link.up && link.running ? 1 : 0);
}
