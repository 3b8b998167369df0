// The XDP program of the packet generator. It is run by the kernel on frames that it makes itself (live
// frames) and sends each out of the interface (XDP_TX): millions a second from one CPU. Frames are used
// again without being restored, and whoever received one before may have changed it, so every byte is
// written each time.
// At a rate, a frame whose time has not come is dropped, at once and for next to nothing, and the next is
// tried: that is a wait of some 30 ns which leaves the kernel free to do other things in between.
// The flow's number makes the source address and port. UDP packets bear numbers (traffic-packet.ts).
// State, one element of an array map that only the one running program writes:
//   0 due u64 (1/1024 ns)   8 next flow   16 sent   24 first sent, ns   32 last sent, ns
//   40 interval (1/1024 ns; 0: no rate)   48 what may be made up for (1/1024 ns)   56 limit   64 duration, ns

import { BpfAssembler, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9 } from '../sys/bpf-assembler.ts';
import { GENERATED_LENGTH, GROUP, GROUPS, NUMBER, RUN, runField, TIME } from './traffic-packet.ts';

const XDP_DROP = 1;
const XDP_TX = 3;
const HELPER_TIME = 5;
const HELPER_RANDOM = 7;

const NETWORK = 14;
const TRANSPORT = 34;
const PORT_BITS = 15;
const FIRST_PORT = 1024;

export const GENERATOR_STATE_SIZE = 72;
const STATE = {
  due: 0,
  flow: 8,
  sent: 16,
  first: 24,
  last: 32,
  interval: 40,
  slack: 48,
  limit: 56,
  duration: 64,
} as const;
/** Times on the schedule are in this many parts of a nanosecond, so that 3 Mpps are 3 Mpps. */
const TIME_BITS = 10;

export interface GeneratorPackets {
  readonly protocol: 'udp' | 'tcp-syn';
  /** Six bytes each. */
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  /** Upper 16 bits of the source addresses, as in 10.64: 0x0a40. */
  readonly sourceNetwork: number;
  /** int32. */
  readonly destination: number;
  readonly destinationPort: number;
  /** A power of two, 1 … 2^31: as many flows; address and port are made of the number's bits. */
  readonly flows: number;
  readonly order: 'random' | 'sequential';
  /** UDP checksums are computed rather than 0. */
  readonly checksum: boolean;
  /** Its lower 16 bits tell this run's packets from those of another. */
  readonly run: number;
  /** Frames are held back until they are due. */
  readonly paced: boolean;
}

export interface GeneratorMaps {
  /** One element of GENERATOR_STATE_SIZE bytes. */
  readonly stateFd: number;
  /** One element of GROUPS words: the next number of each. */
  readonly numbersFd: number;
}

/** When to send how much. */
export interface Schedule {
  /** Packets per second; 0: no rate. */
  readonly rate: number;
  /** Packets that may be made up for at once. */
  readonly burst: number;
  readonly packets: number;
  readonly seconds: number;
}

/** The state before the first frame. */
export function initialState(schedule: Schedule): BigUint64Array {
  const state = new BigUint64Array(GENERATOR_STATE_SIZE / 8);
  const interval = schedule.rate === 0 ? 0 : (1e9 * 2 ** TIME_BITS) / schedule.rate;
  state[STATE.interval / 8] = BigInt(Math.round(interval));
  state[STATE.slack / 8] = BigInt(Math.round(interval * schedule.burst));
  state[STATE.limit / 8] = BigInt(schedule.packets);
  state[STATE.duration / 8] = BigInt(Math.round(schedule.seconds * 1e9));
  return state;
}

/** What was sent, from the state. */
export interface Sent {
  readonly packets: number;
  /** When the first was sent, on the monotonic clock; 0: none was. */
  readonly firstNs: number;
  readonly lastNs: number;
}

export function sentOf(state: BigUint64Array): Sent {
  const at = (offset: number) => Number(state[offset / 8]);
  return { packets: at(STATE.sent), firstNs: at(STATE.first), lastNs: at(STATE.last) };
}

/** Lower half of a flow's source address. */
export function addressOfFlow(flow: number): number {
  return ((flow >>> PORT_BITS) + 1) & 0xffff;
}

export function portOfFlow(flow: number): number {
  return (flow & ((1 << PORT_BITS) - 1)) + FIRST_PORT;
}

/** A frame with everything that does not vary; source address and port 0, checksums to be made. */
function template(packets: GeneratorPackets): DataView {
  const view = new DataView(new ArrayBuffer(GENERATED_LENGTH));
  const bytes = new Uint8Array(view.buffer);
  bytes.set(packets.destinationMac, 0);
  bytes.set(packets.sourceMac, 6);
  view.setUint16(12, 0x0800);
  const isTcp = packets.protocol === 'tcp-syn';
  const length = isTcp ? 40 : GENERATED_LENGTH - NETWORK;
  view.setUint16(NETWORK, 0x4500);
  view.setUint16(NETWORK + 2, length);
  view.setUint16(NETWORK + 6, 0x4000);
  view.setUint8(NETWORK + 8, 64);
  view.setUint8(NETWORK + 9, isTcp ? 6 : 17);
  view.setUint16(NETWORK + 12, packets.sourceNetwork);
  view.setInt32(NETWORK + 16, packets.destination);
  view.setUint16(TRANSPORT + 2, packets.destinationPort);
  if (isTcp) {
    view.setUint32(TRANSPORT + 4, 0x12345678);
    view.setUint16(TRANSPORT + 12, 0x5002);
    view.setUint16(TRANSPORT + 14, 64240);
  } else {
    view.setUint16(TRANSPORT + 4, length - 20);
    view.setInt32(RUN, runField(packets.run), true);
  }
  return view;
}

/**
 * The sum of 16-bit words in the machine's own order. A ones-complement sum does not mind the order of
 * bytes as long as all have the same, and so the result is stored as it is (RFC 1071).
 */
export function nativeSum(view: DataView, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += view.getUint16(at, true);
  return sum;
}

/** register = the checksum of a sum below 2^40 of native words, to be stored as it is */
export function toChecksum(program: BpfAssembler, register: number, scratch: number): BpfAssembler {
  for (let round = 0; round < 3; round++) {
    program.copy(scratch, register).shiftRight(scratch, 16).and(register, 0xffff);
    program.add(register, scratch);
  }
  return program.xor(register, -1).and(register, 0xffff);
}

/** r8 = now. Goes to 'drop' unless a frame may be sent, and counts it. */
function admit(program: BpfAssembler, paced: boolean): void {
  program.call(HELPER_TIME).copy(R8, R0);
  program.loadDouble(R2, R9, STATE.first).jumpIfNotEqual(R2, 0, 'begun');
  program.storeDouble(R9, STATE.first, R8);
  program.copy(R2, R8).shiftLeft(R2, TIME_BITS).storeDouble(R9, STATE.due, R2);
  program.copy(R2, R8).label('begun');
  program.loadDouble(R3, R9, STATE.duration).add(R3, R2).jumpIfGreater(R8, R3, 'drop');
  program.loadDouble(R4, R9, STATE.sent).addImmediate(R4, 1);
  program.loadDouble(R3, R9, STATE.limit).jumpIfGreater(R4, R3, 'drop');
  if (paced) {
    program.copy(R2, R8).shiftLeft(R2, TIME_BITS);
    program.loadDouble(R3, R9, STATE.due).jumpIfGreater(R3, R2, 'drop');
    // Somebody else had the CPU: what is too late is not made up for.
    program.loadDouble(R5, R9, STATE.slack).subtract(R2, R5).jumpIfGreater(R3, R2, 'on-time');
    program.copy(R3, R2).label('on-time');
    program.loadDouble(R5, R9, STATE.interval).add(R3, R5).storeDouble(R9, STATE.due, R3);
  }
  program.storeDouble(R9, STATE.sent, R4).storeDouble(R9, STATE.last, R8);
}

/** r7 = the flow */
function chooseFlow(program: BpfAssembler, { flows, order }: GeneratorPackets): void {
  if (order === 'sequential') {
    program.loadDouble(R7, R9, STATE.flow).copy(R2, R7).addImmediate(R2, 1);
    program.storeDouble(R9, STATE.flow, R2);
  } else {
    program.call(HELPER_RANDOM).copy(R7, R0);
  }
  program.and(R7, flows - 1);
}

/** r4 = address, r5 = port of the flow r7, both as stored; writes them and the IPv4 checksum. */
function writeFlow(program: BpfAssembler, frame: DataView): void {
  program.copy(R4, R7).shiftRight(R4, PORT_BITS).addImmediate(R4, 1);
  program.toNetworkOrder(R4, 16).storeHalf(R6, NETWORK + 14, R4);
  program
    .copy(R5, R7)
    .and(R5, (1 << PORT_BITS) - 1)
    .addImmediate(R5, FIRST_PORT);
  program.toNetworkOrder(R5, 16).storeHalf(R6, TRANSPORT, R5);
  program.copy(R2, R4).addImmediate(R2, nativeSum(frame, NETWORK, TRANSPORT));
  toChecksum(program, R2, R3).storeHalf(R6, NETWORK + 10, R2);
}

/** r2 = sum of pseudo-header, transport header and what is fixed of the payload. */
function transportSum(program: BpfAssembler, frame: DataView, protocol: number): void {
  const end = NETWORK + frame.getUint16(NETWORK + 2);
  // Protocol and length are network order; the length is that of the transport header and payload.
  const pseudo = (protocol << 8) + ((end - TRANSPORT) << 8);
  const fixed = nativeSum(frame, NETWORK + 12, NETWORK + 20) + nativeSum(frame, TRANSPORT, end);
  program
    .copy(R2, R4)
    .add(R2, R5)
    .addImmediate(R2, fixed + pseudo);
}

/** r0 = number, r7 = group: of the UDP packet of flow r7 */
function writeNumber(program: BpfAssembler, numbersFd: number): void {
  program.and(R7, GROUPS - 1).storeHalf(R6, GROUP, R7);
  program.copy(R2, R7).shiftLeft(R2, 2);
  program.loadMapValue(R1, numbersFd).add(R1, R2);
  program.loadWord(R0, R1, 0).copy(R2, R0).addImmediate(R2, 1).storeWordFrom(R1, 0, R2);
  program.storeWordFrom(R6, NUMBER, R0).storeDouble(R6, TIME, R8);
}

/** The generator's instructions. */
export function generatorInstructions(packets: GeneratorPackets, maps: GeneratorMaps): Uint8Array {
  const frame = template(packets);
  const program = new BpfAssembler()
    .loadWord(R6, R1, 0)
    .loadWord(R2, R1, 4)
    .copy(R3, R6)
    .addImmediate(R3, GENERATED_LENGTH)
    .jumpIfGreater(R3, R2, 'drop')
    .loadMapValue(R9, maps.stateFd);
  admit(program, packets.paced);
  for (let at = 0; at < GENERATED_LENGTH; at += 4) {
    program.storeWord(R6, at, frame.getInt32(at, true));
  }
  chooseFlow(program, packets);
  writeFlow(program, frame);
  if (packets.protocol === 'tcp-syn') {
    transportSum(program, frame, 6);
    toChecksum(program, R2, R3).storeHalf(R6, TRANSPORT + 16, R2);
  } else {
    transportSum(program, frame, 17);
    program.copy(R4, R2);
    writeNumber(program, maps.numbersFd);
    if (packets.checksum) {
      program.copy(R2, R4).add(R2, R0).add(R2, R7);
      program.copy(R3, R8).shiftLeft(R3, 32).shiftRight(R3, 32).add(R2, R3);
      program.copy(R3, R8).shiftRight(R3, 32).add(R2, R3);
      toChecksum(program, R2, R3).jumpIfNotEqual(R2, 0, 'checksum');
      // 0 would mean that there is none (RFC 768).
      program
        .move(R2, 0xffff)
        .label('checksum')
        .storeHalf(R6, TRANSPORT + 6, R2);
    }
  }
  return program.move(R0, XDP_TX).exit().label('drop').move(R0, XDP_DROP).exit().assemble();
}
