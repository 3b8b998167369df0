// What a network interface says about itself: index, MAC address, MTU, flags, queues; and the few
// things that weir changes on it. By ioctl on a socket, not by reading /sys: a socket belongs to this
// process's network namespace, /sys to whichever namespace mounted it.
// man 7 netdevice; uapi linux/ethtool.h.

import { WeirError } from '../base/errors.ts';
import { addressOf, closeFd, lastErrno, libc, must } from './libc.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;

const SIOCGIFNAME = 0x8910;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFINDEX = 0x8933;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GDRVINFO = 3;
const ETHTOOL_GFLAGS = 0x25;
const ETHTOOL_SFLAGS = 0x26;
const ETHTOOL_GGRO = 0x2b;
const ETHTOOL_SGRO = 0x2c;
const ETHTOOL_GCHANNELS = 0x3c;
const ETH_FLAG_LRO = 1 << 15;

const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_RUNNING = 0x40;
const IFF_PROMISC = 0x100;

const NAME_SIZE = 16;
const IFREQ_SIZE = 40;
const IFREQ_DATA = 16;

export interface LinkState {
  readonly name: string;
  readonly index: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** Set up by the administrator. */
  readonly up: boolean;
  /** Up and with a carrier. */
  readonly running: boolean;
  readonly loopback: boolean;
  readonly promiscuous: boolean;
  /** Receive queues: combined channels plus those that only receive; 1 when it cannot say. */
  readonly queues: number;
  /** Name of the driver, '' when it cannot say. */
  readonly driver: string;
}

function withSocket<Result>(action: (fd: number) => Result): Result {
  const fd = must(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket(AF_INET)');
  try {
    return action(fd);
  } finally {
    closeFd(fd);
  }
}

/** An ifreq with the name filled in. */
function requestFor(name: string): DataView {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length >= NAME_SIZE) {
    throw new WeirError(
      'ERR_INTERFACE_NOT_FOUND',
      `'${name}' cannot be the name of a network interface`,
      'names have 1 to 15 bytes: compare with `ip -brief link`',
    );
  }
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(bytes);
  return new DataView(request.buffer);
}

function ask(fd: number, name: string, request: number, call: string): DataView {
  const answer = requestFor(name);
  must(libc.ioctl(fd, request, answer), `ioctl(${call})`, `interface ${name}`);
  return answer;
}

/** -1 unless the driver answers; `data` is the ethtool structure, its first word the command. */
function askDriver(fd: number, name: string, data: Uint8Array): number {
  const request = requestFor(name);
  request.setBigUint64(IFREQ_DATA, BigInt(addressOf(data)), true);
  return libc.ioctl(fd, SIOCETHTOOL, request);
}

function readQueues(fd: number, name: string): number {
  // ethtool_channels: cmd, four maxima (rx, tx, other, combined), four counts in the same order.
  const channels = new Uint32Array([ETHTOOL_GCHANNELS, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (askDriver(fd, name, new Uint8Array(channels.buffer)) === -1) return 1;
  return Math.max(1, channels[5] + channels[8]);
}

function readDriver(fd: number, name: string): string {
  const info = new Uint8Array(196);
  new DataView(info.buffer).setUint32(0, ETHTOOL_GDRVINFO, true);
  if (askDriver(fd, name, info) === -1) return '';
  const text = info.subarray(4, 36);
  return new TextDecoder().decode(text.subarray(0, Math.max(0, text.indexOf(0))));
}

/**
 * Reads everything about one interface of this process's network namespace.
 * @throws SystemError ERR_INTERFACE_NOT_FOUND when there is none of that name.
 */
export function readLink(name: string): LinkState {
  return withSocket((fd) => {
    const index = ask(fd, name, SIOCGIFINDEX, 'SIOCGIFINDEX').getInt32(IFREQ_DATA, true);
    const flags = ask(fd, name, SIOCGIFFLAGS, 'SIOCGIFFLAGS').getUint16(IFREQ_DATA, true);
    const hardware = ask(fd, name, SIOCGIFHWADDR, 'SIOCGIFHWADDR');
    return {
      name,
      index,
      mac: new Uint8Array(hardware.buffer, IFREQ_DATA + 2, 6),
      mtu: ask(fd, name, SIOCGIFMTU, 'SIOCGIFMTU').getInt32(IFREQ_DATA, true),
      up: (flags & IFF_UP) !== 0,
      running: (flags & (IFF_UP | IFF_RUNNING)) === (IFF_UP | IFF_RUNNING),
      loopback: (flags & IFF_LOOPBACK) !== 0,
      promiscuous: (flags & IFF_PROMISC) !== 0,
      queues: readQueues(fd, name),
      driver: readDriver(fd, name),
    };
  });
}

/** Whether an interface of this network namespace was set up; undefined when there is none of that name. */
export function isLinkUp(name: string): boolean | undefined {
  return withSocket((fd) => {
    const request = requestFor(name);
    if (libc.ioctl(fd, SIOCGIFFLAGS, request) === -1) return undefined;
    return (request.getUint16(IFREQ_DATA, true) & IFF_UP) !== 0;
  });
}

/** The name that an interface index has now, or '' when it is gone. */
export function linkName(index: number): string {
  return withSocket((fd) => {
    const request = new DataView(new ArrayBuffer(IFREQ_SIZE));
    request.setInt32(IFREQ_DATA, index, true);
    if (libc.ioctl(fd, SIOCGIFNAME, request) === -1) {
      void lastErrno();
      return '';
    }
    const text = new Uint8Array(request.buffer, 0, NAME_SIZE);
    return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  });
}

function setFlag(name: string, flag: number, on: boolean): void {
  withSocket((fd) => {
    const request = ask(fd, name, SIOCGIFFLAGS, 'SIOCGIFFLAGS');
    const flags = request.getUint16(IFREQ_DATA, true);
    const wanted = on ? flags | flag : flags & ~flag;
    if (wanted === flags) return;
    request.setUint16(IFREQ_DATA, wanted, true);
    must(libc.ioctl(fd, SIOCSIFFLAGS, request), 'ioctl(SIOCSIFFLAGS)', `interface ${name}`);
  });
}

/** Sets an interface up or down. @throws SystemError; needs CAP_NET_ADMIN when it changes anything. */
export function setLinkUp(name: string, up: boolean): void {
  setFlag(name, IFF_UP, up);
}

/** Lets an interface take frames to any MAC address, until told otherwise. */
export function setLinkPromiscuous(name: string, promiscuous: boolean): void {
  setFlag(name, IFF_PROMISC, promiscuous);
}

/** An ethtool_value: command and value. @returns the value, -1 when the driver cannot say. */
function driverValue(fd: number, name: string, command: number, value = 0): number {
  const pair = new Uint32Array([command, value]);
  return askDriver(fd, name, new Uint8Array(pair.buffer)) === -1 ? -1 : pair[1];
}

/**
 * Has an interface hand over every frame as it came in: segments that the kernel (GRO) or the driver (LRO)
 * has joined are longer than any frame that was ever on the cable. man 8 ethtool.
 * @returns 'left' when nothing was joined before, 'stopped', or 'refused': it still joins
 */
export function stopJoiningFrames(name: string): 'left' | 'stopped' | 'refused' {
  return withSocket((fd) => {
    const flags = driverValue(fd, name, ETHTOOL_GFLAGS);
    const joins = flags !== -1 && (flags & ETH_FLAG_LRO) !== 0;
    const groJoins = driverValue(fd, name, ETHTOOL_GGRO) === 1;
    if (!joins && !groJoins) return 'left';
    if (joins) driverValue(fd, name, ETHTOOL_SFLAGS, flags & ~ETH_FLAG_LRO);
    if (groJoins) driverValue(fd, name, ETHTOOL_SGRO, 0);
    const after = driverValue(fd, name, ETHTOOL_GFLAGS);
    const isStopped =
      driverValue(fd, name, ETHTOOL_GGRO) !== 1 && (after === -1 || (after & ETH_FLAG_LRO) === 0);
    return isStopped ? 'stopped' : 'refused';
  });
}
