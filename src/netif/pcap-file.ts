// Capture files in the classic pcap format (draft-ietf-opsawg-pcap): reading and writing, nothing
// about interfaces. A file is a header of 24 bytes and records, each a header of 16 bytes and the
// bytes that were captured:
//
//   file    magic 4 | major 2 | minor 2 | reserved 8 | longest record 4 | link type 4
//   record  seconds 4 | micro- or nanoseconds 4 | captured length 4 | original length 4 | bytes
//
// The magic tells the byte order of all header fields and the unit of the fraction. The reader has
// a whole file in memory and walks it without copying; the writer hands finished bytes to a sink.
// Invariant: every fault of a file is an ERR_PCAP_FORMAT that names the byte offset where it is.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { WeirError } from '../base/errors.ts';

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAGIC_PCAPNG = 0x0a0d0d0a;
const FILE_HEADER_SIZE = 24;
const RECORD_HEADER_SIZE = 16;
const VERSION_MAJOR = 2;
const VERSION_MINOR = 4;
const LINK_TYPE_ETHERNET = 1;
/** Longer than any record a capture program writes: a larger length is a damaged file. */
const LONGEST_RECORD = 262144;
const WRITE_BUFFER_SIZE = 1 << 18;

function formatError(offset: number, fault: string, advice: string): WeirError {
  return new WeirError('ERR_PCAP_FORMAT', `capture file, byte ${offset}: ${fault}`, advice);
}

const ADVICE_CUT = 'the file is cut or damaged; capture it again, or cut it with editcap';

/** Walks the records of a capture; the fields describe the record that `next` came to. */
export class PcapReader {
  readonly bytes: Uint8Array;
  /** Whether the fraction of a second is in nanoseconds. */
  readonly nanosecond: boolean;
  readonly littleEndian: boolean;
  /** Where the captured bytes of the record start in `bytes`. */
  dataOffset = 0;
  capturedLength = 0;
  /** What the frame measured on the wire: more than was captured when the capture was cut short. */
  originalLength = 0;
  seconds = 0;
  nanoseconds = 0;
  private readonly view: DataView;
  private nextRecord = FILE_HEADER_SIZE;

  /** @throws WeirError ERR_PCAP_FORMAT when the header is not that of an Ethernet capture. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < FILE_HEADER_SIZE) {
      throw formatError(
        bytes.length,
        `ends within the ${FILE_HEADER_SIZE}-byte header`,
        ADVICE_CUT,
      );
    }
    const little = this.view.getUint32(0, true);
    const big = this.view.getUint32(0, false);
    this.littleEndian = little === MAGIC_MICROSECONDS || little === MAGIC_NANOSECONDS;
    const magic = this.littleEndian ? little : big;
    if (magic === MAGIC_PCAPNG) {
      throw formatError(0, 'this is pcapng', 'convert it: editcap -F pcap in.pcapng out.pcap');
    }
    if (magic !== MAGIC_MICROSECONDS && magic !== MAGIC_NANOSECONDS) {
      const text = big.toString(16).padStart(8, '0');
      throw formatError(0, `no capture magic (0x${text})`, 'give a pcap file (tcpdump -w)');
    }
    this.nanosecond = magic === MAGIC_NANOSECONDS;
    const major = this.view.getUint16(4, this.littleEndian);
    if (major !== VERSION_MAJOR) {
      throw formatError(4, `version ${major}, not ${VERSION_MAJOR}`, 'convert it with editcap');
    }
    // The upper half of the field says whether frames end in a check sequence, not what they are.
    const linkType = this.view.getUint32(20, this.littleEndian) & 0xffff;
    if (linkType !== LINK_TYPE_ETHERNET) {
      throw formatError(
        20,
        `link type ${linkType}, not ${LINK_TYPE_ETHERNET} (Ethernet)`,
        'capture on one Ethernet interface; the pseudo-interface "any" gives another link type',
      );
    }
  }

  /**
   * Goes to the next record. @returns false behind the last one.
   * @throws WeirError ERR_PCAP_FORMAT when the record is damaged.
   */
  next(): boolean {
    const at = this.nextRecord;
    const left = this.bytes.length - at;
    if (left === 0) return false;
    if (left < RECORD_HEADER_SIZE) {
      throw formatError(at, `ends within the ${RECORD_HEADER_SIZE}-byte record header`, ADVICE_CUT);
    }
    const little = this.littleEndian;
    const fraction = this.view.getUint32(at + 4, little);
    const captured = this.view.getUint32(at + 8, little);
    if (fraction >= (this.nanosecond ? 1e9 : 1e6)) {
      throw formatError(at + 4, `${fraction} is more than a second`, ADVICE_CUT);
    }
    if (captured > LONGEST_RECORD) {
      throw formatError(at + 8, `a record of ${captured} bytes`, ADVICE_CUT);
    }
    if (captured > left - RECORD_HEADER_SIZE) {
      throw formatError(
        at + RECORD_HEADER_SIZE,
        `record of ${captured} bytes, but the file has ${left - RECORD_HEADER_SIZE}`,
        ADVICE_CUT,
      );
    }
    this.seconds = this.view.getUint32(at, little);
    this.nanoseconds = this.nanosecond ? fraction : fraction * 1000;
    this.capturedLength = captured;
    this.originalLength = this.view.getUint32(at + 12, little);
    this.dataOffset = at + RECORD_HEADER_SIZE;
    this.nextRecord = this.dataOffset + captured;
    return true;
  }

  /** Starts over with the first record. */
  rewind(): void {
    this.nextRecord = FILE_HEADER_SIZE;
  }
}

/** @throws WeirError ERR_PCAP_FORMAT; the file system's own error when the file cannot be read. */
export function readPcapFile(path: string): PcapReader {
  return new PcapReader(readFileSync(path));
}

/** What a capture is written with; the defaults are what tcpdump writes on x86. */
export interface PcapFormat {
  readonly nanosecond?: boolean;
  readonly littleEndian?: boolean;
}

/** Writes records; they reach the sink when the buffer is full or on `flush`. */
export class PcapWriter {
  private readonly sink: (bytes: Uint8Array) => void;
  private readonly nanosecond: boolean;
  private readonly littleEndian: boolean;
  private readonly buffer = new Uint8Array(WRITE_BUFFER_SIZE);
  private readonly view = new DataView(this.buffer.buffer);
  private filled = FILE_HEADER_SIZE;

  /** `sink` must use or copy the bytes before it returns: the buffer is filled again. */
  constructor(sink: (bytes: Uint8Array) => void, format: PcapFormat = {}) {
    this.sink = sink;
    this.nanosecond = format.nanosecond ?? false;
    this.littleEndian = format.littleEndian ?? true;
    const magic = this.nanosecond ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS;
    this.view.setUint32(0, magic, this.littleEndian);
    this.view.setUint16(4, VERSION_MAJOR, this.littleEndian);
    this.view.setUint16(6, VERSION_MINOR, this.littleEndian);
    this.view.setUint32(16, LONGEST_RECORD, this.littleEndian);
    this.view.setUint32(20, LINK_TYPE_ETHERNET, this.littleEndian);
  }

  /**
   * Appends the `length` bytes at `offset` of `bytes` as one record.
   * @param timeMs milliseconds since 1970; the fraction counts.
   */
  write(bytes: Uint8Array, offset: number, length: number, timeMs: number): void {
    if (this.filled + RECORD_HEADER_SIZE + length > WRITE_BUFFER_SIZE) this.flush();
    const seconds = Math.floor(timeMs / 1000);
    const unitsPerMs = this.nanosecond ? 1e6 : 1e3;
    // Rounded, for 1.002 ms is a little less in binary; never up to the next second.
    const rounded = Math.round((timeMs - seconds * 1000) * unitsPerMs);
    const fraction = Math.min(rounded, unitsPerMs * 1000 - 1);
    const at = this.filled;
    this.view.setUint32(at, seconds, this.littleEndian);
    this.view.setUint32(at + 4, fraction, this.littleEndian);
    this.view.setUint32(at + 8, length, this.littleEndian);
    this.view.setUint32(at + 12, length, this.littleEndian);
    const data = at + RECORD_HEADER_SIZE;
    for (let i = 0; i < length; i++) this.buffer[data + i] = bytes[offset + i];
    this.filled = data + length;
  }

  /** Hands everything that was written to the sink. */
  flush(): void {
    if (this.filled === 0) return;
    const filled = this.filled;
    this.filled = 0;
    this.sink(this.buffer.subarray(0, filled));
  }
}

/** A sink that writes to a file, made anew. @returns the sink and what closes the file. */
export function pcapFileSink(path: string): {
  sink: (bytes: Uint8Array) => void;
  close: () => void;
} {
  const file = openSync(path, 'w');
  return {
    sink: (bytes) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    },
    close: () => closeSync(file),
  };
}
