// Opening network interfaces for AF_XDP: the supervisor's side. For each interface it loads the
// XDP program (dedicated or shared) and, per queue, opens a socket over the frames section of main memory, binds
// it in the best mode that the driver offers, and enters it into the program's map. What it returns is
// file descriptors and their description; the switching processors inherit the sockets
// (af-xdp-queue.ts), the supervisor alone keeps program, map and link.
// Invariant: all sockets, of whatever interface and mode, use the same frames at the same addresses,
// so a frame received anywhere can be sent anywhere without copying (Fig. 11, step 302).

import { SystemError, WeirError } from '../../base/errors.ts';
import { FRAME_DATA_MAX, FRAME_SIZE, type Layout } from '../../memory/layout.ts';
import {
  linkXdpProgram,
  updateMapWord,
  XDP_FLAGS_DRIVER,
  XDP_FLAGS_GENERIC,
} from '../../sys/bpf.ts';
import { setBusyPolling } from '../../sys/busy-poll.ts';
import { closeFd } from '../../sys/libc.ts';
import { type LinkState, readLink, setLinkPromiscuous, setLinkUp } from '../../sys/link.ts';
import type { ReservedRange } from '../../sys/main-memory.ts';
import { createSharedProgram } from '../../sys/shared-program.ts';
import { loadDedicatedProgram } from '../../sys/xdp-program.ts';
import {
  bindXdpSocket,
  closeXdpSocket,
  createXdpRings,
  mapXdpRings,
  openXdpSocket,
  registerFrames,
  unmapXdpRings,
  XDP_COPY,
  XDP_SHARED_UMEM,
  XDP_USE_NEED_WAKEUP,
  XDP_ZEROCOPY,
  type XdpRingSizes,
} from '../../sys/xdp-socket.ts';
import type { InterfaceMode } from '../contract.ts';

/** The modes of AF_XDP, best first: the order in which they are tried. */
export const AF_XDP_MODES = ['native zero-copy', 'native copy', 'generic copy'] as const;
export type AfXdpMode = (typeof AF_XDP_MODES)[number] & InterfaceMode;

export const DEFAULT_RING_SIZES: XdpRingSizes = {
  fill: 2048,
  completion: 2048,
  receive: 2048,
  transmit: 2048,
};

/** Ethernet header and two VLAN tags: what a frame has on top of the MTU. */
const LINK_HEADER_MAX = 14 + 2 * 4;
/** The largest MTU whose frames fit into a chunk. */
export const AF_XDP_MTU_MAX = FRAME_DATA_MAX - LINK_HEADER_MAX;

export interface AfXdpOptions {
  readonly name: string;
  /** Queues to open; all when left out. */
  readonly queues?: readonly number[];
  readonly ringSizes?: XdpRingSizes;
  /** Modes that may be tried; all when left out. */
  readonly modes?: readonly AfXdpMode[];
  /** Takes frames to any MAC address. */
  readonly promiscuous?: boolean;
  /** The interface stays the kernel's, but for what is claimed; without it all is taken. */
  readonly shared?: { readonly claimsFd: number; readonly interfaceNumber: number };
  /** Busy polling is turned on, where it can be had: frames that one poll of the driver may take. */
  readonly busyPollBudget?: number | undefined;
}

/** One opened queue: what a switching processor must know to use it. */
export interface AfXdpSocket {
  readonly queue: number;
  readonly fileDescriptor: number;
  readonly ringSizes: XdpRingSizes;
}

export interface AfXdpInterface {
  readonly name: string;
  readonly link: LinkState;
  readonly mode: AfXdpMode;
  /** Why each better mode was refused, for the operator. */
  readonly refused: readonly string[];
  readonly sockets: readonly AfXdpSocket[];
  /** The errno that refused busy polling; 0: it is on, or was not asked for. */
  readonly busyPollErrno: number;
  /** Link, program, map of sockets: the program stays on the interface while some process has them open. */
  readonly heldFileDescriptors: readonly number[];
  /** Takes the program off the interface and closes this process's file descriptors. */
  close(): void;
}

function checkMtu(link: LinkState): void {
  if (link.mtu <= AF_XDP_MTU_MAX) return;
  throw new WeirError(
    'ERR_INTERFACE_UNSUPPORTED',
    `interface ${link.name} has an MTU of ${link.mtu} bytes, a packet frame holds ${AF_XDP_MTU_MAX}`,
    `\`ip link set dev ${link.name} mtu 1500\`, on its neighbors too`,
  );
}

function checkQueues(link: LinkState, queues: readonly number[]): void {
  for (const queue of queues) {
    if (Number.isInteger(queue) && queue >= 0 && queue < link.queues) continue;
    throw new WeirError(
      'ERR_INTERFACE_UNSUPPORTED',
      `interface ${link.name} has ${link.queues} queue(s), there is no queue ${queue}`,
      `change the configuration, or add queues with \`ethtool -L ${link.name} combined N\``,
    );
  }
}

/** Another mode cannot help against these. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof SystemError)) return true;
  const { code } = error;
  return (
    code === 'ERR_MISSING_CAPABILITY' ||
    code === 'ERR_MEMLOCK_LIMIT' ||
    code === 'ERR_INTERFACE_NOT_FOUND' ||
    error.call === 'mmap' ||
    isInterfaceTaken(error)
  );
}

/** Whether an error says that another program, perhaps another weir, has an interface. */
export function isInterfaceTaken(error: unknown): boolean {
  if (!(error instanceof SystemError) || error.call !== 'bpf(LINK_CREATE)') return false;
  return error.errno === 'EBUSY' || error.errno === 'EEXIST';
}

/** @returns the errno that refused it on one of them, or 0 */
function pollBusily(fds: readonly number[], budget: number | undefined): number {
  if (budget === undefined) return 0;
  return fds.map((fd) => setBusyPolling(fd, budget)).find((errno) => errno !== 0) ?? 0;
}

/** Opens interfaces over one main memory. */
export class AfXdpOpener {
  readonly #range: ReservedRange;
  readonly #framesAddress: bigint;
  readonly #framesSize: number;
  /**
   * A bound socket per kind of mode, whose registration of the frames the others share. Zero-copy
   * and copy do not mix in one registration, so there are two at most.
   */
  readonly #registered = new Map<number, number>();

  constructor(range: ReservedRange, layout: Layout) {
    this.#range = range;
    this.#framesAddress = range.addressOf(layout.framesStart);
    this.#framesSize = layout.frames * FRAME_SIZE;
  }

  /**
   * Opens one interface: after this its frames come to the sockets instead of the kernel; of a shared
   * one, those that are claimed.
   * @throws WeirError ERR_INTERFACE_NOT_FOUND, ERR_INTERFACE_UNSUPPORTED, ERR_MISSING_CAPABILITY …
   */
  open(options: AfXdpOptions): AfXdpInterface {
    const { name } = options;
    const found = readLink(name);
    checkMtu(found);
    const queues = options.queues ?? Array.from({ length: found.queues }, (_, i) => i);
    checkQueues(found, queues);
    if (!found.up) setLinkUp(name, true);
    if (options.promiscuous === true) setLinkPromiscuous(name, true);
    const link = readLink(name);
    const { shared } = options;
    const program =
      shared === undefined
        ? loadDedicatedProgram(link.queues)
        : createSharedProgram(link.queues, shared.claimsFd, shared.interfaceNumber);
    const sizes = options.ringSizes ?? DEFAULT_RING_SIZES;
    const modes = AF_XDP_MODES.filter((mode) => options.modes?.includes(mode) ?? true);
    const refused: string[] = [];
    for (const mode of modes) {
      try {
        const { linkFd, fds } = this.#openMode(link, program.programFd, queues, sizes, mode);
        queues.forEach((queue, i) => {
          updateMapWord(program.mapFd, queue, fds[i]);
        });
        const sockets = queues.map((queue, i) => ({
          queue,
          fileDescriptor: fds[i],
          ringSizes: sizes,
        }));
        const close = (): void => {
          for (const fd of [linkFd, program.programFd, program.mapFd]) closeFd(fd);
          this.#closeSockets(fds);
        };
        const heldFileDescriptors = [linkFd, program.programFd, program.mapFd];
        const busyPollErrno = pollBusily(fds, options.busyPollBudget);
        return { name, link, mode, refused, sockets, busyPollErrno, heldFileDescriptors, close };
      } catch (error) {
        refused.push(`${mode}: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
        if (!isFinal(error) && mode !== modes.at(-1)) continue;
        closeFd(program.programFd);
        closeFd(program.mapFd);
        throw error;
      }
    }
    throw new WeirError('ERR_INTERFACE_UNSUPPORTED', `no mode allowed for ${name}`, '');
  }

  /** Attaches the program and binds all queues in one mode, or leaves nothing behind. */
  #openMode(
    link: LinkState,
    programFd: number,
    queues: readonly number[],
    sizes: XdpRingSizes,
    mode: AfXdpMode,
  ): { linkFd: number; fds: number[] } {
    const attach = mode === 'generic copy' ? XDP_FLAGS_GENERIC : XDP_FLAGS_DRIVER;
    const bind = mode === 'native zero-copy' ? XDP_ZEROCOPY : XDP_COPY;
    const fds: number[] = [];
    const linkFd = linkXdpProgram(programFd, link.index, attach, link.name);
    try {
      for (const queue of queues) fds.push(this.#openSocket(link, queue, sizes, bind));
      return { linkFd, fds };
    } catch (error) {
      this.#closeSockets(fds);
      closeFd(linkFd);
      throw error;
    }
  }

  /** A socket bound to one queue: sharing the frames if it can, else with a registration of its own. */
  #openSocket(link: LinkState, queue: number, sizes: XdpRingSizes, mode: number): number {
    const shared = this.#registered.get(mode);
    if (shared !== undefined) {
      try {
        return this.#bind(link, queue, sizes, XDP_SHARED_UMEM, shared);
      } catch (error) {
        // The one to share with has lost its interface, or the kernel (before 5.10) cannot share
        // over queues: then the same frames are registered once more.
        if (isFinal(error)) throw error;
      }
    }
    const fd = this.#bind(link, queue, sizes, mode | XDP_USE_NEED_WAKEUP, -1);
    this.#registered.set(mode, fd);
    return fd;
  }

  #bind(link: LinkState, queue: number, sizes: XdpRingSizes, flags: number, shared: number) {
    const subject = `interface ${link.name} queue ${queue}`;
    const fd = openXdpSocket(subject);
    try {
      if (shared === -1) {
        registerFrames(fd, this.#framesAddress, this.#framesSize, FRAME_SIZE, 0, subject);
      }
      createXdpRings(fd, sizes, subject);
      bindXdpSocket(fd, link.index, queue, flags, shared, subject);
      // Before Linux 6.4 nobody can map them any more now: better said here than by each process after.
      unmapXdpRings(this.#range, mapXdpRings(this.#range, fd, sizes));
      return fd;
    } catch (error) {
      closeXdpSocket(fd);
      throw error;
    }
  }

  #closeSockets(fds: readonly number[]): void {
    for (const fd of fds) {
      for (const [mode, registered] of this.#registered) {
        if (registered === fd) this.#registered.delete(mode);
      }
      closeXdpSocket(fd);
    }
  }
}
