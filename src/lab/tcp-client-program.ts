// The XDP program of the TCP client that has no TCP stack: it makes each answer from the segment that it
// answers and keeps nothing about any connection, so a client costs the same with ten of them as with a
// million. SYNs are sent by tcp-client.ts; their sequence number is the time in ns (its lower 32 bits),
// and since every later segment acknowledges it, the time that has passed can be told from any of them.
//
//   the server sends            the answer is                         counted as
//   SYN ACK                     ACK FIN, or ACK with the request      accepted, connect latency
//   payload                     ACK                                   payload bytes
//   FIN                         ACK, or ACK FIN after a request       finished, finish latency
//   RST, a bare ACK             nothing                               reset, nothing
//
// What is lost on the way is sent again by the server and answered again; a segment that comes before
// one that was lost is acknowledged with it, so on a lossy way payload bytes are too few.
// RFC 9293 (TCP); the options of a segment received do not matter, none but MSS was offered.

import { BpfAssembler, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 } from '../sys/bpf-assembler.ts';
import type { BpfMeter } from './bpf-meter.ts';
import { nativeSum, toChecksum } from './generator-program.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;
const XDP_TX = 3;
const HELPER_TIME = 5;
const HELPER_ADJUST_TAIL = 65;

const NETWORK = 14;
const TRANSPORT = 34;
const HEADERS = 54;
const FIN = 0x01;
const RST = 0x04;
const PUSH_ACK = 0x18;
const SYN_ACK = 0x12;
const ACK = 0x10;
// Places on the stack, below R10.
const SEQUENCE = -8;
const ACKNOWLEDGMENT = -16;

export const TCP_CLIENT_COUNTERS = ['accepted', 'finished', 'reset', 'payloadBytes'] as const;
export const TCP_CLIENT_HISTOGRAMS = ['connect', 'finish'] as const;
export type TcpClientMeter = BpfMeter<
  (typeof TCP_CLIENT_COUNTERS)[number],
  (typeof TCP_CLIENT_HISTOGRAMS)[number]
>;

export interface TcpClientService {
  /** int32. */
  readonly destination: number;
  readonly destinationPort: number;
  /** Upper 16 bits of the clients' addresses. */
  readonly sourceNetwork: number;
  /** Of 1 … 64 bytes, or undefined: a connection is ended as soon as it is accepted. */
  readonly request: Uint8Array | undefined;
}

/** 16 bits as a program finds them in a packet that it reads in its own order. */
function swapped16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

/** r6 = the packet; goes to 'pass' unless it comes from the service to one of our addresses. */
function select(program: BpfAssembler, service: TcpClientService): void {
  const destination = new DataView(new ArrayBuffer(4));
  destination.setInt32(0, service.destination);
  program.copy(R7, R1).loadWord(R6, R1, 0).loadWord(R8, R1, 4);
  program.copy(R3, R6).addImmediate(R3, HEADERS).jumpIfGreater(R3, R8, 'pass');
  for (const [offset, half] of [
    [12, 0x0800],
    [NETWORK + 12, destination.getUint16(0)],
    [NETWORK + 14, destination.getUint16(2)],
    [NETWORK + 16, service.sourceNetwork],
    [TRANSPORT, service.destinationPort],
  ]) {
    program.loadHalf(R2, R6, offset).jumpIfNotEqual(R2, swapped16(half), 'pass');
  }
  program.loadByte(R2, R6, NETWORK).jumpIfNotEqual(R2, 0x45, 'pass');
  program.loadByte(R2, R6, NETWORK + 9).jumpIfNotEqual(R2, 6, 'pass');
  program.subtract(R8, R6);
}

/** r1 = ns since the SYN, whose number is `behind` + 1 below the one acknowledged. */
function sinceSyn(program: BpfAssembler, behind: number): void {
  program.call(HELPER_TIME).copy(R1, R0);
  program.loadWord(R2, R6, TRANSPORT + 8).toNetworkOrder(R2, 32);
  program
    .addImmediate(R2, -1 - behind)
    .subtract(R1, R2)
    .shiftLeft(R1, 32)
    .shiftRight(R1, 32);
}

/** Makes r4 the payload's length, from the packet at r6. */
function payloadLength(program: BpfAssembler): void {
  program
    .loadHalf(R4, R6, NETWORK + 2)
    .toNetworkOrder(R4, 16)
    .addImmediate(R4, -20);
  program
    .loadByte(R2, R6, TRANSPORT + 12)
    .shiftRight(R2, 4)
    .shiftLeft(R2, 2)
    .subtract(R4, R2);
}

/** Keeps what the answer will bear: their acknowledgment, and their sequence number + r4. */
function keepNumbers(program: BpfAssembler): void {
  program.loadWord(R2, R6, TRANSPORT + 8).storeDouble(R10, SEQUENCE, R2);
  program
    .loadWord(R2, R6, TRANSPORT + 4)
    .toNetworkOrder(R2, 32)
    .add(R2, R4);
  program.toNetworkOrder(R2, 32).storeDouble(R10, ACKNOWLEDGMENT, R2);
}

/** The headers of an answer, with its payload; addresses, ports, numbers and checksums are missing. */
function answerTemplate(flags: number, payload: Uint8Array): DataView {
  // A checksum takes whole words: an odd byte is followed by a zero that is not sent.
  const view = new DataView(new ArrayBuffer(HEADERS + payload.length + (payload.length & 1)));
  view.setUint16(NETWORK, 0x4500);
  view.setUint16(NETWORK + 2, 40 + payload.length);
  view.setUint16(NETWORK + 6, 0x4000);
  view.setUint8(NETWORK + 8, 64);
  view.setUint8(NETWORK + 9, 6);
  view.setUint8(TRANSPORT + 12, 0x50);
  view.setUint8(TRANSPORT + 13, flags);
  view.setUint16(TRANSPORT + 14, 0xffff);
  new Uint8Array(view.buffer).set(payload, HEADERS);
  return view;
}

/** Turns the frame round: r4 + … are gone; MAC addresses, IP addresses and ports change places. */
function turnRound(program: BpfAssembler): void {
  program.loadWord(R1, R6, 0).loadHalf(R2, R6, 4).loadWord(R3, R6, 6).loadHalf(R4, R6, 10);
  program.storeWordFrom(R6, 6, R1).storeHalf(R6, 10, R2);
  program.storeWordFrom(R6, 0, R3).storeHalf(R6, 4, R4);
  program.loadWord(R1, R6, NETWORK + 12).loadWord(R2, R6, NETWORK + 16);
  program.storeWordFrom(R6, NETWORK + 12, R2).storeWordFrom(R6, NETWORK + 16, R1);
  program.loadHalf(R3, R6, TRANSPORT).loadHalf(R4, R6, TRANSPORT + 2);
  program.storeHalf(R6, TRANSPORT, R4).storeHalf(R6, TRANSPORT + 2, R3);
  // r5 = both addresses, r4 = both ports, for the checksums
  program.copy(R5, R1).add(R5, R2).add(R4, R3);
}

/** Sends the answer. Expects r7 = the context, r8 = the length of the frame as it came. */
function answer(program: BpfAssembler, flags: number, payload: Uint8Array): void {
  const view = answerTemplate(flags, payload);
  const length = HEADERS + payload.length;
  program.copy(R1, R7).move(R2, length).subtract(R2, R8).call(HELPER_ADJUST_TAIL);
  program.jumpIfNotEqual(R0, 0, 'drop').loadWord(R6, R7, 0).loadWord(R2, R7, 4);
  program.copy(R3, R6).addImmediate(R3, length).jumpIfGreater(R3, R2, 'drop');
  turnRound(program);
  for (let at = NETWORK; at < NETWORK + 12; at += 4) {
    program.storeWord(R6, at, view.getInt32(at, true));
  }
  program.copy(R2, R5).addImmediate(R2, nativeSum(view, NETWORK, TRANSPORT));
  toChecksum(program, R2, R3).storeHalf(R6, NETWORK + 10, R2);
  for (let at = TRANSPORT + 12; at < HEADERS; at += 4) {
    program.storeWord(R6, at, view.getInt32(at, true));
  }
  for (let at = HEADERS; at < length; at += 1) program.storeByte(R6, at, view.getUint8(at));
  // Pseudo-header: protocol and TCP length in network order, as this machine reads it.
  const pseudo = swapped16(6) + swapped16(length - TRANSPORT);
  program
    .copy(R2, R5)
    .add(R2, R4)
    .addImmediate(R2, pseudo + nativeSum(view, TRANSPORT, view.byteLength));
  for (const [offset, place] of [
    [TRANSPORT + 4, SEQUENCE],
    [TRANSPORT + 8, ACKNOWLEDGMENT],
  ]) {
    program.loadDouble(R3, R10, place).storeWordFrom(R6, offset, R3).add(R2, R3);
  }
  toChecksum(program, R2, R3).storeHalf(R6, TRANSPORT + 16, R2);
  program.move(R0, XDP_TX).exit();
}

/** Counts what the service sends to our clients, and answers it. */
export function tcpClientInstructions(
  service: TcpClientService,
  meter: TcpClientMeter,
): Uint8Array {
  const { request } = service;
  const nothing = new Uint8Array(0);
  const program = new BpfAssembler();
  select(program, service);
  meter.enter(program, R9);
  program.loadByte(R2, R6, TRANSPORT + 13).jumpIfAny(R2, RST, 'reset');
  program.and(R2, SYN_ACK).jumpIfNotEqual(R2, SYN_ACK, 'established');
  meter.count(program, R9, 'accepted', R2);
  sinceSyn(program, 0);
  meter.record(program, R9, 'connect');
  program.move(R4, 1);
  keepNumbers(program);
  if (request === undefined) answer(program, ACK | FIN, nothing);
  else answer(program, PUSH_ACK, request);

  program.label('established');
  payloadLength(program);
  meter.count(program, R9, 'payloadBytes', R2, R4);
  program.loadByte(R2, R6, TRANSPORT + 13).jumpIfAny(R2, FIN, 'finished');
  program.jumpIfEqual(R4, 0, 'drop');
  keepNumbers(program);
  answer(program, ACK, nothing);

  program.label('finished').addImmediate(R4, 1);
  keepNumbers(program);
  meter.count(program, R9, 'finished', R2);
  sinceSyn(program, request?.length ?? 1);
  meter.record(program, R9, 'finish');
  answer(program, request === undefined ? ACK : ACK | FIN, nothing);

  program.label('reset');
  meter.count(program, R9, 'reset', R2);
  program.label('drop').move(R0, XDP_DROP).exit();
  return program.label('pass').move(R0, XDP_PASS).exit().assemble();
}
