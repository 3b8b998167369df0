// Damages frames, by a seed: flipped bits, wild bytes and words, wrong lengths and header sizes, frames
// cut short or drawn out, pieces of others. Half of the time the checksums are put right afterwards,
// so that what stands behind them is reached as well.

import type { Prng } from '../../src/base/prng.ts';
import { plainChecksum, pseudoHeader } from './bytes.ts';

const LONGEST = 1600;
const WILD = [0, 1, 0x7f, 0x80, 0xff];

/** Offset of the IPv4 header, if the frame looks as if it had one. */
function networkOffset(frame: Uint8Array): number {
  let at = 12;
  while (at + 4 < frame.length && frame[at] === 0x81 && frame[at + 1] === 0) at += 4;
  return frame[at] === 8 && frame[at + 1] === 0 ? at + 2 : -1;
}

function put16(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >>> 8;
  frame[at + 1] = value & 0xff;
}

/** Makes the IPv4 header's checksum right, and that of what it carries, as far as they are there. */
export function repairChecksums(frame: Uint8Array): void {
  const ip = networkOffset(frame);
  if (ip < 0 || frame.length < ip + 20) return;
  const header = (frame[ip]! & 15) * 4;
  if (header < 20 || frame.length < ip + header) return;
  put16(frame, ip + 10, 0);
  put16(frame, ip + 10, plainChecksum(frame.subarray(ip, ip + header)));
  const end = Math.min(ip + frame[ip + 2]! * 256 + frame[ip + 3]!, frame.length);
  const transport = ip + header;
  const protocol = frame[ip + 9]!;
  const field = new Map([
    [1, 2],
    [6, 16],
    [17, 6],
  ]).get(protocol);
  if (field === undefined || end < transport + field + 2) return;
  put16(frame, transport + field, 0);
  let size = end - transport;
  if (protocol === 17) size = Math.min(size, frame[transport + 4]! * 256 + frame[transport + 5]!);
  const body = frame.subarray(transport, transport + size);
  const pseudo = pseudoHeader(frame.subarray(ip + 12, ip + 20), protocol, size);
  const sum = protocol === 1 ? plainChecksum(body) : plainChecksum(pseudo, body);
  put16(frame, transport + field, sum || 0xffff);
}

/** A damaged copy of `whole`, perhaps with pieces of `frames` in it. */
export function mutate(
  random: Prng,
  whole: Uint8Array,
  frames: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  let frame = whole.slice();
  const times = 1 + random.below(3);
  for (let i = 0; i < times; i++) frame = damage(random, frame, frames);
  if (random.below(2) === 0) repairChecksums(frame);
  return frame;
}

function damage(
  random: Prng,
  frame: Uint8Array<ArrayBuffer>,
  frames: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const ip = networkOffset(frame);
  const size = frame.length;
  if (size === 0) return frame;
  // Where headers are, more often than where data is.
  const place = random.below(random.below(4) === 0 ? size : Math.min(size, 70));
  switch (random.below(9)) {
    case 0:
      frame[place]! ^= 1 << random.below(8);
      return frame;
    case 1:
      frame[place] = random.below(256);
      return frame;
    case 2:
      frame[place] = WILD[random.below(WILD.length)]!;
      return frame;
    case 3:
      return frame.slice(0, random.below(size + 1));
    case 4: {
      const longer = new Uint8Array(Math.min(LONGEST, size + random.below(100)));
      longer.set(frame.subarray(0, longer.length));
      for (let i = size; i < longer.length; i++) longer[i] = random.below(256);
      return longer;
    }
    case 5: {
      const other = frames[random.below(frames.length)]!;
      const from = random.below(other.length);
      const count = Math.min(random.below(20), other.length - from, size - place);
      frame.set(other.subarray(from, from + count), place);
      return frame;
    }
    case 6:
      // Lengths of every kind: header, packet, data offset, UDP; of an ICMP error's inside too.
      if (ip >= 0 && size > ip + 50) {
        const field = [0, 2, 3, 32, 24, 25, 28, 30, 31, 44][random.below(10)]!;
        frame[ip + field] = random.below(2) === 0 ? random.below(256) : frame[ip + field]! + 1;
      }
      return frame;
    case 7:
      if (ip >= 0 && size > ip + 10) frame[ip + [6, 7, 8, 9][random.below(4)]!] = random.below(256);
      return frame;
    default:
      if (ip >= 0 && size > ip + 34) {
        frame[ip + 33] = random.below(64);
        put16(
          frame,
          ip + 20 + 2 * random.below(2),
          [80, 81, 53, 8080, 5353, 40_000][random.below(6)]!,
        );
      }
      return frame;
  }
}
