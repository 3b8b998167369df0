// How the routing daemon hears of the kernel's routes: a dump of everything of one kind, and the events that
// follow each change. Two sockets, so that neither can crowd out the other; no thread waits for either
// (netlink.ts). RFC 3549; uapi linux/netlink.h, linux/rtnetlink.h.
//
// Whoever mirrors the kernel opens the events first, then asks for dumps, and applies the events that came
// meanwhile after them: the last word about a route is then an event's, or that of a dump that has seen it.
// Events that come faster than they are read are lost; the kernel says so, and a new dump is needed.

import { WeirError } from '../base/errors.ts';
import { errnoName } from './advice.ts';
import { type NetlinkListener, NetlinkSocket, RTMGRP_LINK } from './netlink.ts';

const RTMGRP_NEIGH = 0x4;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV4_ROUTE = 0x40;
const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV6_ROUTE = 0x400;
const HOST_GROUPS = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
const ROUTE_GROUPS = HOST_GROUPS | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
/** Nexthop objects, Linux 5.3. */
const RTNLGRP_NEXTHOP = 32;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** The dump is not of one moment: something changed that it depends on. */
const NLM_F_DUMP_INTR = 0x10;
const ENOENT = 2;
/** Reads of up to 64 KiB after which others have their turn in the event loop. */
const READS_PER_TURN = 16;
/** Between two reads: how long a dump takes is a matter of how much there is. */
const DUMP_STALLS_MS = 10_000;

/** Asks for dumps, one after the other. */
export class DumpSocket {
  readonly #socket: NetlinkSocket;
  #sequence = 0;
  #onReadable: () => void = () => {};

  /** @throws SystemError */
  constructor() {
    this.#socket = new NetlinkSocket(0);
    try {
      this.#socket.setStrict();
    } catch {
      // Older than 4.20: it gives more than was asked for, which the reader must look at anyhow.
    }
    this.#socket.watch(() => this.#onReadable());
  }

  /**
   * Everything that the kernel has of one kind.
   * @param request makes the request with a sequence number
   * @param listener is given each message
   * @returns whether it is of one moment
   * @throws SystemError, WeirError ERR_SYSTEM_CALL when it is refused or does not go on
   */
  dump(request: (sequence: number) => Uint8Array, listener: NetlinkListener): Promise<boolean> {
    this.#sequence += 1;
    const wanted = this.#sequence;
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#onReadable = () => {};
        settle();
      };
      const fail = (why: string): void =>
        end(() => reject(new WeirError('ERR_SYSTEM_CALL', `a netlink dump failed: ${why}`, '')));
      const timer = setTimeout(() => fail('it does not go on'), DUMP_STALLS_MS);
      let isWhole = true;
      const onMessage: NetlinkListener = (type, payload, flags, sequence) => {
        if (sequence !== wanted) return;
        if ((flags & NLM_F_DUMP_INTR) !== 0) isWhole = false;
        if (type !== NLMSG_DONE && type !== NLMSG_ERROR) {
          listener(type, payload, flags, sequence);
          return;
        }
        const error = payload.byteLength >= 4 ? -payload.getInt32(0, true) : 0;
        // A table without routes is none to the kernel.
        if (error <= 0 || error === ENOENT) end(() => resolve(isWhole));
        else fail(errnoName(error));
      };
      this.#onReadable = () => {
        timer.refresh();
        if (!this.#socket.readAll(onMessage, READS_PER_TURN)) fail('messages were lost');
      };
      try {
        this.#socket.send(request(wanted));
      } catch (error) {
        end(() => reject(error));
      }
    });
  }

  close(): void {
    this.#onReadable = () => {};
    this.#socket.close();
  }
}

/**
 * Reports every change of links, addresses, neighbors and routes of this network namespace, until closed.
 * @param onLost called when events were missed
 * @param receiveBufferSize bytes that may wait to be read
 * @throws SystemError
 */
export function followRoutes(
  listener: NetlinkListener,
  onLost: () => void,
  receiveBufferSize?: number,
): NetlinkSocket {
  const socket = new NetlinkSocket(ROUTE_GROUPS, receiveBufferSize);
  try {
    socket.join(RTNLGRP_NEXTHOP);
  } catch {
    // Older than 5.3: there are none.
  }
  socket.watch(() => {
    if (!socket.readAll(listener, READS_PER_TURN)) onLost();
  });
  return socket;
}
