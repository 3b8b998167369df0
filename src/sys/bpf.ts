// bpf(2), raw: maps, programs and links, as far as weir needs them. Everything is a file descriptor
// and lives as long as somebody holds it; an XDP link takes its program off the interface when the
// last one closes it, so a supervisor that dies leaves nothing behind.
// The attribute structures stand in uapi linux/bpf.h (union bpf_attr); offsets below are theirs.

import { WeirError } from '../base/errors.ts';
import { systemError } from './advice.ts';
import { addressOf, lastErrno, libc, must, systemCallNumber } from './libc.ts';

const MAP_CREATE = 0;
const MAP_LOOKUP_ELEM = 1;
const MAP_UPDATE_ELEM = 2;
const PROG_LOAD = 5;
const PROG_TEST_RUN = 10;
const LINK_CREATE = 28;
const LINK_UPDATE = 29;

export const MAP_TYPE_ARRAY = 2;
export const MAP_TYPE_XSKMAP = 17;
const PROG_TYPE_XDP = 6;
const ATTACH_TYPE_XDP = 37;

/** Attach in the driver, before the kernel makes its own buffer of a frame. */
export const XDP_FLAGS_DRIVER = 1 << 2;
/** Attach behind the driver: works everywhere, slower. */
export const XDP_FLAGS_GENERIC = 1 << 1;

const ATTRIBUTE_SIZE = 128;
const NAME_SIZE = 16;
const LOG_SIZE = 64 << 10;

function attribute(): DataView {
  return new DataView(new ArrayBuffer(ATTRIBUTE_SIZE));
}

function setName(target: DataView, offset: number, name: string): void {
  // The kernel takes letters, digits, '_' and '.' only.
  const clean = name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, NAME_SIZE - 1);
  new Uint8Array(target.buffer, offset, NAME_SIZE).set(new TextEncoder().encode(clean));
}

function bpf(command: number, attributes: DataView): number {
  return libc.syscall(systemCallNumber('bpf'), command, attributes, ATTRIBUTE_SIZE, null, null);
}

export interface BpfMap {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly name: string;
  readonly flags?: number;
}

/** Creates a map. @returns its file descriptor. @throws SystemError */
export function createMap(map: BpfMap): number {
  const attributes = attribute();
  attributes.setUint32(0, map.type, true);
  attributes.setUint32(4, map.keySize, true);
  attributes.setUint32(8, map.valueSize, true);
  attributes.setUint32(12, map.entries, true);
  attributes.setUint32(16, map.flags ?? 0, true);
  setName(attributes, 28, map.name);
  return must(bpf(MAP_CREATE, attributes), 'bpf(MAP_CREATE)', `map ${map.name}`);
}

function elementCall(
  command: number,
  name: string,
  mapFd: number,
  key: number,
  value: NodeJS.ArrayBufferView,
): void {
  const keyWord = new Uint32Array([key]);
  const attributes = attribute();
  attributes.setUint32(0, mapFd, true);
  attributes.setBigUint64(8, BigInt(addressOf(keyWord)), true);
  attributes.setBigUint64(16, BigInt(addressOf(value)), true);
  must(bpf(command, attributes), name, `key ${key}`);
  keepAlive(keyWord, value);
}

/** Sets one element of a map with 32-bit keys. @param value as long as the map's values are */
export function updateMapValue(mapFd: number, key: number, value: NodeJS.ArrayBufferView): void {
  elementCall(MAP_UPDATE_ELEM, 'bpf(MAP_UPDATE_ELEM)', mapFd, key, value);
}

/** Reads one element of a map with 32-bit keys into memory as long as its values are. */
export function readMapValue(mapFd: number, key: number, value: NodeJS.ArrayBufferView): void {
  elementCall(MAP_LOOKUP_ELEM, 'bpf(MAP_LOOKUP_ELEM)', mapFd, key, value);
}

/** Sets one element of a map whose keys and values are both 32-bit words. */
export function updateMapWord(mapFd: number, key: number, value: number): void {
  updateMapValue(mapFd, key, new Uint32Array([value]));
}

/** BPF_F_TEST_XDP_LIVE_FRAMES: what the program decides of a frame is really done. */
const LIVE_FRAMES = 2;
const LIVE_BATCH = 64;
const CONTEXT_SIZE = 24;
const EINTR = 4;
const LARGEST_TRIED = 2048;

/**
 * Runs an XDP program on frames as if they had come in on an interface, and does what it says with
 * them; with XDP_TX they leave by that interface. Blocks until all are through or a signal comes; each
 * call has some 24 ms of preparation. The kernel uses the same frames again without restoring them.
 * @param batch frames that are sent together: fewer are less of a burst, more are cheaper
 * @returns false when a signal ended it
 * @throws SystemError
 */
export function runLiveFrames(
  programFd: number,
  frame: Uint8Array,
  interfaceIndex: number,
  repeat: number,
  batch = LIVE_BATCH,
): boolean {
  const context = new Uint32Array(CONTEXT_SIZE / 4); // struct xdp_md
  context[1] = frame.length;
  context[3] = interfaceIndex;
  const attributes = attribute();
  attributes.setUint32(0, programFd, true);
  attributes.setUint32(8, frame.length, true);
  attributes.setBigUint64(16, BigInt(addressOf(frame)), true);
  attributes.setUint32(32, repeat, true);
  attributes.setUint32(40, CONTEXT_SIZE, true);
  attributes.setBigUint64(48, BigInt(addressOf(context)), true);
  attributes.setUint32(64, LIVE_FRAMES, true);
  attributes.setUint32(72, batch, true);
  const result = bpf(PROG_TEST_RUN, attributes);
  if (result === -1 && lastErrno() === EINTR) return false;
  must(result, 'bpf(PROG_TEST_RUN)', `interface ${interfaceIndex}`);
  keepAlive(frame, context);
  return true;
}

/**
 * Runs an XDP program on a frame that goes nowhere, to see what it says and what it makes of it.
 * @param repeat how often, to measure the time
 * @returns its verdict (XDP_PASS …), the frame as it left it, and the time of one run
 * @throws SystemError
 */
export function tryXdpProgram(
  programFd: number,
  frame: Uint8Array,
  repeat = 1,
): { verdict: number; frame: Uint8Array; nanoseconds: number } {
  const out = new Uint8Array(LARGEST_TRIED);
  const attributes = attribute();
  attributes.setUint32(0, programFd, true);
  attributes.setUint32(8, frame.length, true);
  attributes.setUint32(12, out.length, true);
  attributes.setBigUint64(16, BigInt(addressOf(frame)), true);
  attributes.setBigUint64(24, BigInt(addressOf(out)), true);
  attributes.setUint32(32, repeat, true);
  must(bpf(PROG_TEST_RUN, attributes), 'bpf(PROG_TEST_RUN)', `program ${programFd}`);
  keepAlive(frame);
  const size = attributes.getUint32(12, true);
  const verdict = attributes.getUint32(4, true);
  return { verdict, frame: out.subarray(0, size), nanoseconds: attributes.getUint32(36, true) };
}

/** Memory that is known to the kernel by its address only must not be collected before the call. */
function keepAlive(...memory: NodeJS.ArrayBufferView[]): number {
  return memory.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function programAttributes(instructions: Uint8Array, license: Uint8Array, name: string): DataView {
  const attributes = attribute();
  attributes.setUint32(0, PROG_TYPE_XDP, true);
  attributes.setUint32(4, instructions.length / 8, true);
  attributes.setBigUint64(8, BigInt(addressOf(instructions)), true);
  attributes.setBigUint64(16, BigInt(addressOf(license)), true);
  setName(attributes, 48, name);
  attributes.setUint32(68, ATTACH_TYPE_XDP, true);
  return attributes;
}

/**
 * Loads an XDP program.
 * @returns its file descriptor.
 * @throws SystemError; ERR_SYSTEM_CALL with the verifier's last lines when it was refused.
 */
export function loadXdpProgram(instructions: Uint8Array, name: string): number {
  const license = new TextEncoder().encode('GPL\0');
  const attributes = programAttributes(instructions, license, name);
  const fd = bpf(PROG_LOAD, attributes);
  if (fd !== -1) return fd;
  const errno = lastErrno();
  // The log costs memory and time, so it is asked for only when there is something to explain.
  const log = new Uint8Array(LOG_SIZE);
  attributes.setUint32(24, 1, true);
  attributes.setUint32(28, LOG_SIZE, true);
  attributes.setBigUint64(32, BigInt(addressOf(log)), true);
  const second = bpf(PROG_LOAD, attributes);
  keepAlive(instructions, license, log);
  if (second !== -1) return second;
  const text = new TextDecoder().decode(log.subarray(0, Math.max(0, log.indexOf(0)))).trim();
  const error = systemError('bpf(PROG_LOAD)', errno, `program ${name}`);
  if (text === '') throw error;
  throw new WeirError(error.code, `${error.message}: ${text.slice(-2000)}`, error.advice);
}

/**
 * Attaches an XDP program to an interface for as long as the returned file descriptor is open.
 * @param flags XDP_FLAGS_DRIVER or XDP_FLAGS_GENERIC
 * @throws SystemError
 */
export function linkXdpProgram(
  programFd: number,
  interfaceIndex: number,
  flags: number,
  interfaceName: string,
): number {
  const attributes = attribute();
  attributes.setUint32(0, programFd, true);
  attributes.setUint32(4, interfaceIndex, true);
  attributes.setUint32(8, ATTACH_TYPE_XDP, true);
  attributes.setUint32(12, flags, true);
  const result = bpf(LINK_CREATE, attributes);
  return must(result, 'bpf(LINK_CREATE)', `interface ${interfaceName}`);
}

/**
 * Puts another program in the place of the one that a link holds on its interface: each frame finds
 * one of the two. The link lasts as before.
 * @throws SystemError
 */
export function replaceXdpProgram(linkFd: number, programFd: number): void {
  const attributes = attribute();
  attributes.setUint32(0, linkFd, true);
  attributes.setUint32(4, programFd, true);
  must(bpf(LINK_UPDATE, attributes), 'bpf(LINK_UPDATE)', `program ${programFd}`);
}
