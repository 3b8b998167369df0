// The XDP programs of those who receive: they count and drop what is meant for them, the cheapest way to
// receive there is, and pass all else on to the kernel.
// The packet receiver looks into the numbers of generated packets (traffic-packet.ts). For each group of
// flows it keeps what it has seen:
//
//   order state, 16 bytes:   0 highest number u32   4 run u32   8 window u64
//
// Bit i of the window: the number highest - i has come. So a number below the highest is either late
// (its bit is clear: now set) or doubled (set). One that is below the window counts as late.
// Another run than the last one begins anew by itself.
// Any number of CPUs may receive: the packets of a flow come in on one queue and so one after the other,
// wherever that queue is polled. Flows that share a group (beyond 65,536 flows) may meet in it, and are
// then counted as late though each is in order; packets, lost ones and the longest gap are always right.

import { BpfAssembler, R0, R1, R2, R3, R4, R5, R6, R8, R9 } from '../sys/bpf-assembler.ts';
import type { BpfMeter } from './bpf-meter.ts';
import {
  GENERATED_LENGTH,
  GROUP,
  GROUPS,
  MARK,
  NUMBER,
  RUN,
  RUN_MARK,
  TIME,
} from './traffic-packet.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;
const HELPER_TIME = 5;
const NETWORK = 14;
const IPV4 = 0x0008;
const UDP = 17;
const WINDOW = 64;

const ORDER_BITS = 4;

export const RECEIVER_COUNTERS = [
  'packets',
  'bytes',
  'duplicates',
  'reordered',
  'passedOver',
] as const;
export type ReceiverMeter = BpfMeter<(typeof RECEIVER_COUNTERS)[number], 'latency'>;

export const ORDER_STATE_SIZE = GROUPS << ORDER_BITS;

export interface ReceiverMaps {
  readonly meter: ReceiverMeter;
  /** One element of ORDER_STATE_SIZE bytes, or undefined: order is not looked at. */
  readonly orderFd: number | undefined;
  /** One element: the time of the last packet and the longest gap, both u64, in ns; or undefined. */
  readonly gapFd: number | undefined;
  readonly latency: boolean;
}

/** r8 = now; keeps the longest time since the packet before, on whatever CPU it was. */
function measureGap(program: BpfAssembler, gapFd: number): void {
  program.loadMapValue(R1, gapFd).loadDouble(R2, R1, 0).storeDouble(R1, 0, R8);
  program.jumpIfEqual(R2, 0, 'gap-done');
  // Another CPU may have read its clock later and come first.
  program.jumpIfGreater(R2, R8, 'gap-done');
  program.copy(R3, R8).subtract(R3, R2).loadDouble(R4, R1, 8).jumpIfGreater(R4, R3, 'gap-done');
  program.storeDouble(R1, 8, R3).label('gap-done');
}

/** Compares the packet's number with what has come in before. Changes r0 … r5. */
function lookAtOrder(program: BpfAssembler, orderFd: number, meter: ReceiverMeter): void {
  // r1 = state of the group; r3 = highest number up to now, r4 = this one
  program.loadHalf(R2, R6, GROUP).shiftLeft(R2, ORDER_BITS);
  program.loadMapValue(R1, orderFd).add(R1, R2);
  program.loadWord(R4, R6, NUMBER).loadWord(R5, R6, RUN).loadWord(R3, R1, 4);
  program.jumpIfDiffers(R3, R5, 'new-run');
  program.loadWord(R3, R1, 0).loadDouble(R2, R1, 8);
  program.jumpIfGreater(R4, R3, 'newer');
  program.subtract(R3, R4).jumpIfGreaterThan(R3, WINDOW - 1, 'late');
  program.move(R0, 1).shiftLeftBy(R0, R3).copy(R5, R2).andRegister(R5, R0);
  program.jumpIfNotEqual(R5, 0, 'duplicate').or(R2, R0).storeDouble(R1, 8, R2).label('late');
  meter.count(program, R9, 'reordered', R2);
  program.jump('order-done').label('duplicate');
  meter.count(program, R9, 'duplicates', R2);
  program.jump('order-done').label('new-run');
  // All before the first one are passed over, up to now.
  program.storeWordFrom(R1, 4, R5).storeWordFrom(R1, 0, R4).move(R2, 1).storeDouble(R1, 8, R2);
  meter.count(program, R9, 'passedOver', R2, R4);
  program.jump('order-done').label('newer');
  program.storeWordFrom(R1, 0, R4).subtract(R4, R3).copy(R3, R4).move(R0, 0);
  program
    .jumpIfGreaterThan(R3, WINDOW - 1, 'far')
    .copy(R0, R2)
    .shiftLeftBy(R0, R3)
    .label('far');
  program.move(R2, 1).or(R0, R2).storeDouble(R1, 8, R0).addImmediate(R4, -1);
  meter.count(program, R9, 'passedOver', R2, R4);
  program.label('order-done');
}

/** Counts and drops generated packets. */
export function receiverInstructions(maps: ReceiverMaps): Uint8Array {
  const { meter, orderFd, gapFd } = maps;
  const program = new BpfAssembler()
    .loadWord(R6, R1, 0)
    .loadWord(R8, R1, 4)
    .copy(R3, R6)
    .addImmediate(R3, GENERATED_LENGTH)
    .jumpIfGreater(R3, R8, 'pass')
    .loadHalf(R2, R6, 12)
    .jumpIfNotEqual(R2, IPV4, 'pass')
    .loadByte(R2, R6, NETWORK + 9)
    .jumpIfNotEqual(R2, UDP, 'pass')
    .loadHalf(R2, R6, RUN_MARK)
    .jumpIfNotEqual(R2, MARK, 'pass')
    .subtract(R8, R6);
  meter.enter(program, R9);
  meter.count(program, R9, 'packets', R1);
  meter.count(program, R9, 'bytes', R1, R8);
  if (gapFd !== undefined || maps.latency) program.call(HELPER_TIME).copy(R8, R0);
  if (gapFd !== undefined) measureGap(program, gapFd);
  if (orderFd !== undefined) lookAtOrder(program, orderFd, meter);
  if (maps.latency) {
    program.loadDouble(R2, R6, TIME).copy(R1, R8).subtract(R1, R2);
    meter.record(program, R9, 'latency');
  }
  return program.move(R0, XDP_DROP).exit().label('pass').move(R0, XDP_PASS).exit().assemble();
}
