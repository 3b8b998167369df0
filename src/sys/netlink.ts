// Netlink sockets for route(7) messages, and the little decoding that watching links needs. The
// socket is watched by Node's own event loop and read without blocking, so it parks no thread.
// RFC 3549; uapi linux/netlink.h, linux/rtnetlink.h, linux/if_link.h.
//
// nlmsghdr: 0 length u32 │ 4 type u16 │ 6 flags u16 │ 8 sequence u32 │ 12 port u32, then the payload;
// ifinfomsg: 0 family u8 │ 2 type u16 │ 4 index i32 │ 8 flags u32 │ 12 change u32, then attributes;
// attribute: 0 length u16 │ 2 type u16, value, padded to 4 bytes.

import koffi from 'koffi';
import { addressOf, closeFd, lastErrno, libc, must, setIntOption } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const ENOBUFS = 105;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_GET_STRICT_CHK = 12;
const HEADER_SIZE = 16;
const BUFFER_SIZE = 64 << 10;
/** Bytes that may wait to be read, unless net.core.rmem_max allows less. */
const RECEIVE_BUFFER_SIZE = 1 << 20;

export const RTMGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFF_UP = 1;
const IFF_LOWER_UP = 0x10000;

/** One message: its type (RTM_*), flags, sequence number and payload (valid during the call only). */
export type NetlinkListener = (
  type: number,
  payload: DataView,
  flags: number,
  sequence: number,
) => void;

/** Calls `listener` for every message in the first `size` bytes; stops at a malformed one. */
export function forEachNetlinkMessage(
  bytes: ArrayBuffer,
  size: number,
  listener: NetlinkListener,
): void {
  const view = new DataView(bytes, 0, size);
  let at = 0;
  while (at + HEADER_SIZE <= size) {
    const length = view.getUint32(at, true);
    if (length < HEADER_SIZE || at + length > size) return;
    const payload = new DataView(bytes, at + HEADER_SIZE, length - HEADER_SIZE);
    const flags = view.getUint16(at + 6, true);
    listener(view.getUint16(at + 4, true), payload, flags, view.getUint32(at + 8, true));
    at += (length + 3) & ~3;
  }
}

/** A route netlink socket in this process's network namespace. */
export class NetlinkSocket {
  readonly fileDescriptor: number;
  readonly #buffer = new ArrayBuffer(BUFFER_SIZE);
  #watch: { close(): void } | undefined;
  #hasLost = false;

  /**
   * @param groups multicast groups (RTMGRP_*) to hear
   * @param receiveBufferSize bytes that may wait to be read: more, and messages are lost
   * @throws SystemError
   */
  constructor(groups: number, receiveBufferSize = RECEIVE_BUFFER_SIZE) {
    const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const fd = must(libc.socket(AF_NETLINK, type, NETLINK_ROUTE), 'socket(AF_NETLINK)');
    this.fileDescriptor = fd;
    try {
      setIntOption(fd, SOL_SOCKET, SO_RCVBUF, receiveBufferSize, 'setsockopt(SO_RCVBUF)');
      const address = new DataView(new ArrayBuffer(12)); // sockaddr_nl
      address.setUint16(0, AF_NETLINK, true);
      address.setUint32(8, groups, true);
      must(libc.bind(fd, address, 12), 'bind(AF_NETLINK)');
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /** Hears one more group (RTNLGRP_*), of those that have no bit. @throws SystemError */
  join(group: number): void {
    const call = 'setsockopt(NETLINK_ADD_MEMBERSHIP)';
    setIntOption(this.fileDescriptor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, call);
  }

  /** The kernel takes requests for dumps by the word: only what they ask for. @throws SystemError */
  setStrict(): void {
    const call = 'setsockopt(NETLINK_GET_STRICT_CHK)';
    setIntOption(this.fileDescriptor, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1, call);
  }

  /** Sends one request. @throws SystemError */
  send(message: Uint8Array): void {
    must(libc.send(this.fileDescriptor, message, message.length, 0), 'send(AF_NETLINK)');
  }

  /**
   * Reads what has arrived, without waiting.
   * @param reads after so many reads it leaves the rest for the next time
   * @returns false when messages were lost, because they came faster than they were read.
   */
  readAll(listener: NetlinkListener, reads = Number.POSITIVE_INFINITY): boolean {
    let complete = true;
    const address = addressOf(this.#buffer);
    // Once messages were lost the kernel drops all others, silently, until everything is read. It can
    // only get less then, so the limit does not hold.
    for (let read = 0; read < reads || !complete; read++) {
      const size = libc.recv(this.fileDescriptor, address, BUFFER_SIZE, 0);
      if (size > 0) forEachNetlinkMessage(this.#buffer, size, listener);
      else if (size === -1 && lastErrno() === ENOBUFS) {
        complete = false;
        this.#hasLost = true;
      } else return complete;
    }
    return complete;
  }

  /** Calls `onReadable` from the event loop whenever something has arrived. */
  watch(onReadable: () => void): void {
    this.#watch?.close();
    this.#watch = koffi.node.poll(this.fileDescriptor, { readable: true }, () => {
      onReadable();
      if (!this.#hasLost || this.#watch === undefined) return;
      // A socket that has lost messages is in error until that is read, and libuv watches none such on.
      this.#hasLost = false;
      this.watch(onReadable);
    });
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    closeFd(this.fileDescriptor);
  }
}

/** What became of a link. */
export interface LinkEvent {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Up and with a carrier. */
  readonly running: boolean;
  readonly gone: boolean;
}

/** Decodes a link message; undefined for any other. */
export function decodeLinkMessage(type: number, payload: DataView): LinkEvent | undefined {
  if ((type !== RTM_NEWLINK && type !== RTM_DELLINK) || payload.byteLength < 16) return undefined;
  // The bridge sends messages of its own family about its members: they are not about the link.
  if (payload.getUint8(0) !== 0) return undefined;
  const flags = payload.getUint32(8, true);
  let name = '';
  let mtu = 0;
  let at = 16;
  while (at + 4 <= payload.byteLength) {
    const length = payload.getUint16(at, true);
    if (length < 4 || at + length > payload.byteLength) break;
    const kind = payload.getUint16(at + 2, true);
    if (kind === IFLA_IFNAME) {
      const text = new Uint8Array(payload.buffer, payload.byteOffset + at + 4, length - 5);
      name = new TextDecoder().decode(text);
    } else if (kind === IFLA_MTU && length >= 8) {
      mtu = payload.getUint32(at + 4, true);
    }
    at += (length + 3) & ~3;
  }
  const up = (flags & IFF_UP) !== 0;
  return {
    index: payload.getInt32(4, true),
    name,
    mtu,
    up,
    running: up && (flags & IFF_LOWER_UP) !== 0,
    gone: type === RTM_DELLINK,
  };
}

/**
 * Reports every change of every link of this network namespace, until closed.
 * @param onLost called when events were missed: read all links again
 */
export function watchLinks(onEvent: (event: LinkEvent) => void, onLost: () => void): NetlinkSocket {
  const socket = new NetlinkSocket(RTMGRP_LINK);
  socket.watch(() => {
    const complete = socket.readAll((type, payload) => {
      const event = decodeLinkMessage(type, payload);
      if (event !== undefined) onEvent(event);
    });
    if (!complete) onLost();
  });
  return socket;
}
