// The XDP program of an interface that stays the kernel's: what is claimed (claims-map.ts) goes to the
// AF_XDP socket of the queue that it came in on, all else to the kernel. What it takes:
//
//   ARP      questions for an address that is weir's alone; answers go to the kernel, which asks as well
//            (weir hears them by a packet socket: netif/af-packet/listen.ts)
//   IPv4     to the interface's own MAC address only, and of that
//            all that is for an address that is weir's alone, fragments too;
//            TCP and UDP for a service: address, protocol, port;
//            TCP and UDP from a server's address, protocol and port, unless for an address of the
//            kernel's, which has connections to the server too (health checks, say);
//            ICMP errors about packets that weir has sent, by the packet that they embed: from a
//            service, or to a server, unless for an address of the kernel's
//
// Frames with a VLAN tag are the kernel's: its VLAN interfaces live on this one. Fragments without
// a port to see are the kernel's too; IP options are read over. IPv6 and all else is the kernel's.
// Each frame is counted, as taken or as left to the kernel.
// Registers: r6 next header, r7 end of the frame, r8 the buffer in force, r9 context. Stack: below.
// RFC 9669; kernel documentation: Documentation/bpf/, Documentation/networking/af_xdp.rst.

import { createMap, loadXdpProgram, MAP_TYPE_XSKMAP } from './bpf.ts';
import { BpfAssembler, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 } from './bpf-assembler.ts';
import {
  ADDRESS_IS_KERNELS,
  ADDRESS_IS_WEIRS,
  CLAIM_ADDRESS,
  CLAIM_ENDPOINT,
  CLAIM_PROBES,
  CLAIM_SERVICE,
  CLAIM_SLOT_SHIFT,
  CLAIM_SLOT_SIZE,
  CLAIMS_ACTIVE,
  CLAIMS_BUFFER_SIZE,
  CLAIMS_BUFFERS,
  CLAIMS_FRAMES,
  CLAIMS_MAC_ADDRESSES,
  CLAIMS_SLOTS_START,
  FRAMES_LEFT,
  FRAMES_OF_QUEUE_SIZE,
  FRAMES_QUEUES,
  FRAMES_TAKEN,
  HASH_ADDRESS,
  HASH_KEY,
  HASH_MIX,
} from './claims-map.ts';
import { closeFd } from './libc.ts';
import type { XdpProgram } from './xdp-program.ts';

const XDP_PASS = 2;
const HELPER_REDIRECT_MAP = 51;
// struct xdp_md.
const CONTEXT_DATA = 0;
const CONTEXT_DATA_END = 4;
const CONTEXT_QUEUE = 16;

const ETHERNET_SIZE = 14;
const ARP_END = ETHERNET_SIZE + 28;
const IPV4_END = ETHERNET_SIZE + 20;
const TYPE_IPV4 = 0x0800;
const TYPE_ARP = 0x0806;
const ARP_REQUEST = 1;
const PROTOCOL_ICMP = 1;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
/** More fragments, or not the first. */
const FRAGMENT_MASK = 0x3fff;
const EMBEDDED = 8;
/** Types of ICMP errors: unreachable, source quench, redirect, time exceeded, parameter problem. */
const ICMP_ERRORS = [3, 4, 5, 11, 12];

// On the stack, from its top.
const SOURCE = -8;
const DESTINATION = -16;
const DESTINATION_FLAGS = -24;
const PROTOCOL = -32;

class SharedProgram extends BpfAssembler {
  /** to = a word of the packet as a number. */
  number(to: number, from: number, offset: number): this {
    return this.loadWord(to, from, offset).toNetworkOrder(to, 32);
  }

  /** to = 16 bits of the packet as a number. */
  shortNumber(to: number, from: number, offset: number): this {
    return this.loadHalf(to, from, offset).toNetworkOrder(to, 16);
  }

  /** to = its lower 32 bits. */
  low32(to: number): this {
    return this.shiftLeft(to, 32).shiftRight(to, 32);
  }

  /** goto label unless `size` bytes stand behind `pointer`. Changes r2. */
  unlessWithin(pointer: number, size: number, label: string): this {
    return this.copy(R2, pointer).addImmediate(R2, size).jumpIfGreater(R2, R7, label);
  }

  /**
   * pointer += `before` and the length of an IPv4 header, 20 … 60, in r5; else goto 'pass'. By constants,
   * because without CAP_PERFMON the verifier lets nothing else be added to a pointer to the packet.
   */
  skipHeader(pointer: number, before: number): this {
    const done = this.uniqueLabel('skipped');
    for (let length = 20; length <= 60; length += 4) {
      const next = this.uniqueLabel('longer');
      this.jumpIfNotEqual(R5, length, next)
        .addImmediate(pointer, before + length)
        .jump(done);
      this.label(next);
    }
    return this.jump('pass').label(done);
  }

  /** r0 = flags of the claim for the address in r1 with the key in r2, else goto missing. Changes r3, r4. */
  search(missing: string): this {
    const found = this.uniqueLabel('found');
    this.copy(R3, R1).multiply(R3, HASH_ADDRESS);
    this.copy(R4, R2).multiply(R4, HASH_KEY).xorRegister(R3, R4);
    this.loadWord(R4, R8, 0).xorRegister(R3, R4).low32(R3);
    this.copy(R4, R3).shiftRight(R4, 15).xorRegister(R3, R4);
    this.multiply(R3, HASH_MIX)
      .shiftLeft(R3, 32)
      .shiftRight(R3, 32 + CLAIM_SLOT_SHIFT);
    this.multiply(R3, CLAIM_SLOT_SIZE).add(R3, R8);
    for (let probe = 0; probe < CLAIM_PROBES; probe++) {
      const slot = CLAIMS_SLOTS_START + probe * CLAIM_SLOT_SIZE;
      const next = this.uniqueLabel('next');
      this.loadWord(R4, R3, slot + 4).jumpIfEqual(R4, 0, missing);
      this.jumpIfDiffers(R4, R2, next).loadWord(R4, R3, slot).jumpIfDiffers(R4, R1, next);
      this.loadWord(R0, R3, slot + 8)
        .jump(found)
        .label(next);
    }
    return this.jump(missing).label(found);
  }

  /** r2 = key of a kind of claim, for the port in r5 and the protocol of the packet. Changes r4. */
  portKey(kind: number): this {
    this.copy(R2, R5).shiftLeft(R2, 16);
    return this.loadDouble(R4, R10, PROTOCOL).shiftLeft(R4, 8).or(R2, R4).addImmediate(R2, kind);
  }

  /** As `search`, for a port claim on an address from the stack, with the port in r5. */
  searchPort(kind: number, addressOnStack: number, missing: string): this {
    return this.portKey(kind).loadDouble(R1, R10, addressOnStack).search(missing);
  }
}

/** Ethernet; r8 = the buffer in force. Goes on at 'arp' or behind. */
function readEthernet(program: SharedProgram, claimsFd: number): void {
  program.copy(R9, R1).loadWord(R6, R9, CONTEXT_DATA).loadWord(R7, R9, CONTEXT_DATA_END);
  program.unlessWithin(R6, IPV4_END, 'pass');
  program.loadMapValue(R1, claimsFd, CLAIMS_ACTIVE).loadWord(R1, R1, 0).and(R1, 1);
  program.multiply(R1, CLAIMS_BUFFER_SIZE).loadMapValue(R8, claimsFd, CLAIMS_BUFFERS).add(R8, R1);
  program.shortNumber(R1, R6, 12).jumpIfEqual(R1, TYPE_ARP, 'arp');
  program.jumpIfNotEqual(R1, TYPE_IPV4, 'pass');
}

/** Only frames for this interface: what passes by, on a bridge or by flooding, is not ours to take. */
function checkMacAddress(program: SharedProgram, claimsFd: number, interfaceNumber: number): void {
  program.loadMapValue(R1, claimsFd, CLAIMS_MAC_ADDRESSES + interfaceNumber * 8);
  program.loadWord(R2, R1, 0).loadWord(R3, R6, 0).jumpIfDiffers(R2, R3, 'pass');
  program.loadHalf(R2, R1, 4).loadHalf(R3, R6, 4).jumpIfDiffers(R2, R3, 'pass');
}

/** The IPv4 header: to 'take' when the address is weir's alone. r6 = the header behind it. */
function readIpv4(program: SharedProgram): void {
  program.loadByte(R5, R6, ETHERNET_SIZE).copy(R2, R5).shiftRight(R2, 4);
  program.jumpIfNotEqual(R2, 4, 'pass').and(R5, 15).shiftLeft(R5, 2);
  program.number(R1, R6, ETHERNET_SIZE + 12).storeDouble(R10, SOURCE, R1);
  program.number(R1, R6, ETHERNET_SIZE + 16).storeDouble(R10, DESTINATION, R1);
  program.loadByte(R2, R6, ETHERNET_SIZE + 9).storeDouble(R10, PROTOCOL, R2);
  program.move(R2, CLAIM_ADDRESS).search('stranger').jump('known');
  program.label('stranger').move(R0, 0).label('known');
  program.jumpIfAny(R0, ADDRESS_IS_WEIRS, 'take').storeDouble(R10, DESTINATION_FLAGS, R0);
  program.shortNumber(R1, R6, ETHERNET_SIZE + 6).jumpIfAny(R1, FRAGMENT_MASK, 'pass');
  program.skipHeader(R6, ETHERNET_SIZE).unlessWithin(R6, 8, 'pass');
}

/** To 'take' when the packet is for a service, or from a server and not for the kernel. */
function judgePorts(program: SharedProgram): void {
  program.shortNumber(R5, R6, 2);
  program.searchPort(CLAIM_SERVICE, DESTINATION, 'no-service').jump('take');
  program.label('no-service').loadDouble(R0, R10, DESTINATION_FLAGS);
  program.jumpIfAny(R0, ADDRESS_IS_KERNELS, 'pass').shortNumber(R5, R6, 0);
  program.searchPort(CLAIM_ENDPOINT, SOURCE, 'pass').jump('take');
}

/** To 'take' when an error is about a packet from a service, or to a server and not the kernel's. */
function judgeError(program: SharedProgram): void {
  program.loadByte(R1, R6, 0);
  for (const type of ICMP_ERRORS) program.jumpIfEqual(R1, type, 'error');
  program.jump('pass').label('error');
  program.addImmediate(R6, EMBEDDED).unlessWithin(R6, 20, 'pass');
  program.number(R1, R6, 12).storeDouble(R10, SOURCE, R1);
  program.number(R1, R6, 16).storeDouble(R10, DESTINATION, R1);
  program.loadByte(R1, R6, 9).storeDouble(R10, PROTOCOL, R1);
  program.loadByte(R5, R6, 0).and(R5, 15).shiftLeft(R5, 2).skipHeader(R6, 0);
  program.unlessWithin(R6, 4, 'pass').shortNumber(R5, R6, 0);
  program.searchPort(CLAIM_SERVICE, SOURCE, 'not-from-service').jump('take');
  program.label('not-from-service').loadDouble(R0, R10, DESTINATION_FLAGS);
  program.jumpIfAny(R0, ADDRESS_IS_KERNELS, 'pass').shortNumber(R5, R6, 2);
  program.searchPort(CLAIM_ENDPOINT, DESTINATION, 'pass').jump('take');
}

/** To 'take' when it asks for an address that is weir's alone. */
function judgeArp(program: SharedProgram): void {
  program.label('arp').unlessWithin(R6, ARP_END, 'pass');
  program.shortNumber(R1, R6, ETHERNET_SIZE + 6).jumpIfNotEqual(R1, ARP_REQUEST, 'pass');
  program
    .number(R1, R6, ETHERNET_SIZE + 24)
    .move(R2, CLAIM_ADDRESS)
    .search('pass');
  program.jumpIfAny(R0, ADDRESS_IS_WEIRS, 'take').jump('pass');
}

/** Counts a frame, for the queue that it came in on; several CPUs may do so at once. Changes r1 … r3. */
function count(program: SharedProgram, claimsFd: number, interfaceNumber: number, at: number) {
  const first = CLAIMS_FRAMES + interfaceNumber * FRAMES_QUEUES * FRAMES_OF_QUEUE_SIZE + at;
  program.loadWord(R2, R9, CONTEXT_QUEUE).and(R2, FRAMES_QUEUES - 1);
  program.multiply(R2, FRAMES_OF_QUEUE_SIZE).loadMapValue(R1, claimsFd, first).add(R1, R2);
  program.move(R3, 1).atomicAdd(R1, 0, R3);
}

/**
 * The program's instructions.
 * @param take emits what is done with a frame that is claimed; r9 is the context, r0 the verdict: a frame
 *   that is passed after all (nobody polls its queue) is one that is left to the kernel
 */
export function sharedInstructions(
  claimsFd: number,
  interfaceNumber: number,
  take: (program: BpfAssembler) => void,
): Uint8Array {
  const program = new SharedProgram();
  readEthernet(program, claimsFd);
  checkMacAddress(program, claimsFd, interfaceNumber);
  readIpv4(program);
  program.loadDouble(R1, R10, PROTOCOL).jumpIfEqual(R1, PROTOCOL_TCP, 'ports');
  program.jumpIfEqual(R1, PROTOCOL_UDP, 'ports').jumpIfNotEqual(R1, PROTOCOL_ICMP, 'pass');
  judgeError(program);
  program.label('ports');
  judgePorts(program);
  judgeArp(program);
  program.label('take');
  take(program);
  program.jumpIfEqual(R0, XDP_PASS, 'pass').copy(R6, R0);
  count(program, claimsFd, interfaceNumber, FRAMES_TAKEN);
  program.copy(R0, R6).exit().label('pass');
  count(program, claimsFd, interfaceNumber, FRAMES_LEFT);
  return program.move(R0, XDP_PASS).exit().assemble();
}

/** Loads the program for sockets that stand in a map already. @throws SystemError */
export function loadSharedProgram(
  socketsFd: number,
  claimsFd: number,
  interfaceNumber: number,
): number {
  const instructions = sharedInstructions(claimsFd, interfaceNumber, (program) => {
    program.loadWord(R2, R9, CONTEXT_QUEUE).loadMap(R1, socketsFd).move(R3, XDP_PASS);
    program.call(HELPER_REDIRECT_MAP);
  });
  return loadXdpProgram(instructions, 'weir_shared');
}

/**
 * Creates the map of sockets and loads the program for one interface.
 * @param queues number of receive queues of the interface
 * @throws SystemError
 */
export function createSharedProgram(
  queues: number,
  claimsFd: number,
  interfaceNumber: number,
): XdpProgram {
  const mapFd = createMap({
    type: MAP_TYPE_XSKMAP,
    keySize: 4,
    valueSize: 4,
    entries: queues,
    name: 'weir_sockets',
  });
  try {
    return { mapFd, programFd: loadSharedProgram(mapFd, claimsFd, interfaceNumber) };
  } catch (error) {
    closeFd(mapFd);
    throw error;
  }
}
