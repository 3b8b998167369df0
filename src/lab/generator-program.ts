// The XDP programs of the packet generator and the packet counter, for benchmarks and floods.
//
// The generator is run by the kernel on frames that it makes itself (live frames) and sends each out
// of the interface (XDP_TX): millions a second from one CPU. Frames are used again without being
// restored, and whoever received one before may have changed it, so all headers are written each time.
// A packet is one of `flows` at random: the flow's number makes the source address and port.

import { BpfAssembler, R0, R1, R2, R3, R6, R7, R8, R10 } from '../sys/bpf-assembler.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;
const XDP_TX = 3;
const HELPER_MAP_LOOKUP = 1;
const HELPER_RANDOM = 7;

const NETWORK = 14;
const TRANSPORT = 34;
/** Length of every generated frame, without the frame check sequence. */
export const GENERATED_LENGTH = 60;
const PORT_BITS = 15;
const FIRST_PORT = 1024;

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
  }
  return view;
}

function sumOf(view: DataView, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += view.getUint16(at);
  return sum;
}

/** register = ones-complement checksum of the sum in it (at most 2^20), in network order */
function toChecksum(program: BpfAssembler, register: number, scratch: number): BpfAssembler {
  for (let round = 0; round < 2; round++) {
    program.copy(scratch, register).shiftRight(scratch, 16).and(register, 0xffff);
    program.add(register, scratch);
  }
  return program.xor(register, -1).and(register, 0xffff).toNetworkOrder(register, 16);
}

/** The generator's instructions. */
export function generatorInstructions(packets: GeneratorPackets): Uint8Array {
  const frame = template(packets);
  const isTcp = packets.protocol === 'tcp-syn';
  const program = new BpfAssembler()
    .loadWord(R6, R1, 0)
    .loadWord(R2, R1, 4)
    .copy(R3, R6)
    .addImmediate(R3, GENERATED_LENGTH)
    .jumpIfGreater(R3, R2, 'short');
  for (let at = 0; at < GENERATED_LENGTH; at += 4) {
    program.storeWord(R6, at, frame.getInt32(at, true));
  }
  // r7 = address bits, r8 = port
  program
    .call(HELPER_RANDOM)
    .and(R0, packets.flows - 1)
    .copy(R7, R0)
    .copy(R8, R0);
  program.shiftRight(R7, PORT_BITS).and(R7, 0xffff).addImmediate(R7, 1).and(R7, 0xffff);
  program.and(R8, (1 << PORT_BITS) - 1).addImmediate(R8, FIRST_PORT);
  program
    .copy(R2, R7)
    .toNetworkOrder(R2, 16)
    .storeHalf(R6, NETWORK + 14, R2);
  program.copy(R2, R8).toNetworkOrder(R2, 16).storeHalf(R6, TRANSPORT, R2);
  program.copy(R2, R7).addImmediate(R2, sumOf(frame, NETWORK, TRANSPORT));
  toChecksum(program, R2, R3).storeHalf(R6, NETWORK + 10, R2);
  if (isTcp) {
    // Pseudo-header: addresses, protocol, length 20.
    const addresses = sumOf(frame, NETWORK + 12, NETWORK + 20);
    const fixed = addresses + 6 + 20 + sumOf(frame, TRANSPORT, TRANSPORT + 20);
    program.copy(R2, R7).add(R2, R8).addImmediate(R2, fixed);
    toChecksum(program, R2, R3).storeHalf(R6, TRANSPORT + 16, R2);
  }
  return program.move(R0, XDP_TX).exit().label('short').move(R0, XDP_DROP).exit().assemble();
}

/** Counts IPv4 packets of one protocol in element 0 of the map and drops them; passes all else. */
export function counterInstructions(mapFd: number, protocol: number): Uint8Array {
  return new BpfAssembler()
    .loadWord(R6, R1, 0)
    .loadWord(R2, R1, 4)
    .copy(R3, R6)
    .addImmediate(R3, TRANSPORT)
    .jumpIfGreater(R3, R2, 'pass')
    .loadHalf(R2, R6, 12)
    .jumpIfNotEqual(R2, 0x0008, 'pass')
    .loadByte(R2, R6, NETWORK + 9)
    .jumpIfNotEqual(R2, protocol, 'pass')
    .storeWord(R10, -4, 0)
    .copy(R2, R10)
    .addImmediate(R2, -4)
    .loadMap(R1, mapFd)
    .call(HELPER_MAP_LOOKUP)
    .jumpIfEqual(R0, 0, 'pass')
    .move(R1, 1)
    .atomicAdd(R0, 0, R1)
    .move(R0, XDP_DROP)
    .exit()
    .label('pass')
    .move(R0, XDP_PASS)
    .exit()
    .assemble();
}
