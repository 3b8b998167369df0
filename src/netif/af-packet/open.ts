// The supervisor's half of an AF_PACKET interface: opens one socket per queue, has the kernel make
// their rings, and lets the kernel share the frames out among them. The switching processors inherit
// the file descriptors and map the rings (af-packet-queue.ts); while the supervisor holds them open,
// a killed processor's rings go on filling for its successor.
//
// A packet socket gets a *copy* of each frame: the kernel's own network stack sees it, too. For an
// interface that weir has to itself, the kernel must therefore have no address there, or it answers
// beside us: a TCP reset to every connection that it knows nothing of. Nor may it forward: it would
// send each packet a second time. Both are looked for here. (AF_XDP takes the frame away instead.)
// What tcpdump shows on this interface lacks what weir sends, as it passes by the place where
// tcpdump listens (PACKET_QDISC_BYPASS, see packet(7)); capture on the far end, or turn it off.

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { WeirError } from '../../base/errors.ts';
import { FRAME_DATA_MAX } from '../../memory/layout.ts';
import { closeFd, libc, must } from '../../sys/libc.ts';
import { readLink, setLinkUp, stopJoiningFrames } from '../../sys/link.ts';
import { FANOUT_HASH, openPacketSocket } from '../../sys/packet-socket.ts';
import type { InterfaceMode } from '../contract.ts';
import { PACKET_GEOMETRY, type PacketGeometry } from './geometry.ts';

const SOL_PACKET = 263;
const PACKET_FANOUT = 18;
/** The kernel picks a group number that nobody else uses (Linux 4.12). */
const FANOUT_UNIQUE = 0x2000;
/** Ethernet header and two VLAN tags: what a frame has on top of the MTU. */
const LINK_HEADER_MAX = 14 + 2 * 4;

export interface AfPacketOptions {
  readonly interfaceName: string;
  /** One socket each; frames of one flow, in either direction, always meet in the same queue. */
  readonly queues: number;
  /** Takes frames to any MAC address. */
  readonly promiscuous?: boolean;
  /** Past the queueing discipline straight to the driver; true when left out. */
  readonly bypassQdisc?: boolean;
  /** Only warn when the kernel has an IPv4 address on the interface. */
  readonly allowKernelAddress?: boolean;
  readonly geometry?: PacketGeometry;
}

/** An interface that was opened, and everything that the processors need to use it. */
export interface AfPacketInterface {
  readonly interfaceName: string;
  readonly interfaceIndex: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly mode: InterfaceMode;
  /** One per queue. */
  readonly fileDescriptors: readonly number[];
  readonly geometry: PacketGeometry;
  /** What will not work as well as it could, for the log. */
  readonly warnings: readonly string[];
}

/** Addresses that the kernel answers to on the interface: an alias has a name of its own, 'eth0:1'. */
function kernelAddresses(name: string): string[] {
  const found: string[] = [];
  for (const [label, addresses] of Object.entries(networkInterfaces())) {
    if (label.split(':')[0] !== name) continue;
    for (const { family, cidr, address } of addresses ?? []) {
      if (family === 'IPv4') found.push(cidr ?? address);
    }
  }
  return found;
}

function kernelForwards(name: string): boolean {
  try {
    const path = `/proc/sys/net/ipv4/conf/${name.replaceAll('.', '/')}/forwarding`;
    return readFileSync(path, 'utf8').trim() === '1';
  } catch {
    return false; // Not to be seen in this container: then nor to be advised on.
  }
}

/** @throws WeirError when the kernel would answer beside us; what is merely unwise is returned. */
function checkKernel(name: string, allowKernelAddress: boolean): string[] {
  const warnings: string[] = [];
  const addresses = kernelAddresses(name);
  if (addresses.length > 0) {
    const fault = `the kernel has ${addresses.join(', ')} on ${name} and would answer beside weir`;
    const advice =
      `take it away: ip address del ${addresses[0]} dev ${name} (not on the interface that you ` +
      'are logged in through): a dedicated interface is weir’s alone';
    if (!allowKernelAddress) throw new WeirError('ERR_INTERFACE_UNSUPPORTED', fault, advice);
    warnings.push(`${fault}: ${advice}`);
  }
  if (kernelForwards(name)) {
    warnings.push(
      `the kernel forwards what comes in on ${name}, so packets may arrive twice: ` +
        `sysctl -w net.ipv4.conf.${name.replaceAll('.', '/')}.forwarding=0`,
    );
  }
  return warnings;
}

/** Joined segments fit no chunk, and TCP through the switch would come to a stop. */
function takeSegmentsApart(name: string): string[] {
  switch (stopJoiningFrames(name)) {
    case 'left':
      return [];
    case 'stopped':
      return [
        `${name} joined received segments (GRO, LRO), which no frame holds: turned off ` +
          `(to turn it on after weir: ethtool -K ${name} gro on)`,
      ];
    default:
      return [
        `${name} joins received segments (GRO, LRO), which no frame holds, and does not let that ` +
          `be turned off: long TCP transfers will stall; ethtool -K ${name} gro off lro off`,
      ];
  }
}

/** The number of the fanout group that the first socket was given. */
function fanoutGroup(fd: number, name: string): number {
  const value = new Uint32Array(1);
  const size = new Uint32Array([4]);
  const result = libc.getsockopt(fd, SOL_PACKET, PACKET_FANOUT, value, size);
  must(result, 'getsockopt(PACKET_FANOUT)', `interface ${name}`);
  return value[0] & 0xffff;
}

function openQueues(options: AfPacketOptions, index: number, geometry: PacketGeometry): number[] {
  const { interfaceName, queues } = options;
  const fileDescriptors: number[] = [];
  let group = 0;
  try {
    for (let queue = 0; queue < queues; queue++) {
      const first = queue === 0;
      const mode = first ? FANOUT_HASH | FANOUT_UNIQUE : FANOUT_HASH;
      const fd = openPacketSocket({
        interfaceIndex: index,
        interfaceName,
        receive: geometry.receive,
        transmit: geometry.transmit,
        bypassQdisc: options.bypassQdisc ?? true,
        promiscuous: options.promiscuous ?? false,
        ...(queues > 1 ? { fanout: { id: group, mode } } : {}),
      });
      fileDescriptors.push(fd);
      if (first && queues > 1) group = fanoutGroup(fd, interfaceName);
    }
  } catch (error) {
    for (const fd of fileDescriptors) closeFd(fd);
    throw error;
  }
  return fileDescriptors;
}

/**
 * Opens all queues of an interface, and sets it up if it is down.
 * @throws WeirError ERR_INTERFACE_NOT_FOUND, ERR_MISSING_CAPABILITY (CAP_NET_RAW), or
 *   ERR_INTERFACE_UNSUPPORTED: no Ethernet, an MTU that no chunk holds, a kernel address on it
 */
export function openAfPacket(options: AfPacketOptions): AfPacketInterface {
  const { interfaceName } = options;
  const geometry = options.geometry ?? PACKET_GEOMETRY;
  const link = readLink(interfaceName);
  if (link.loopback) {
    throw new WeirError(
      'ERR_INTERFACE_UNSUPPORTED',
      `${interfaceName} is the kernel's own loopback, not a network interface`,
      'use a real interface, or one end of a veth pair',
    );
  }
  if (link.mtu + LINK_HEADER_MAX > FRAME_DATA_MAX) {
    throw new WeirError(
      'ERR_INTERFACE_UNSUPPORTED',
      `${interfaceName} has an MTU of ${link.mtu}; weir's frames hold ${FRAME_DATA_MAX} bytes`,
      `ip link set ${interfaceName} mtu 1500`,
    );
  }
  // A socket that is bound while the link is down cannot join a fanout group.
  if (!link.up) setLinkUp(interfaceName, true);
  const warnings = checkKernel(interfaceName, options.allowKernelAddress ?? false);
  warnings.push(...takeSegmentsApart(interfaceName));
  return {
    interfaceName,
    interfaceIndex: link.index,
    mac: link.mac,
    mtu: link.mtu,
    mode: 'packet ring',
    fileDescriptors: openQueues(options, link.index, geometry),
    geometry,
    warnings,
  };
}
