// The datagram in which a weir agent reports its load over UDP, signed with a key that only that
// agent and the resource manager have (docs/reference/load-report.md). Numbers are big-endian.
//
//   offset  size  field
//        0     3  'WLR'
//        3     1  version: 1
//        4     1  length n of the agent's name, 1 to 63
//        5     1  0
//        6     2  length c of the content
//        8     8  boot id: random, made at each start of the agent
//       16     8  sequence: 1, 2, 3 … since that start, below 2^53
//       24     8  the agent's clock, milliseconds since 1970
//       32     n  name: letters, digits, '.', '_', '-'; begins with a letter or digit
//     32+n     c  content: JSON {"backends":[{"backend":"web/b1","figures":{…},"wish":{…}}, …]}
//   32+n+c    32  HMAC-SHA256 (RFC 2104, FIPS 180-4) over all bytes before it
//
// Invariant: nothing of the content is looked at before the signature has been verified, and each
// step before it costs a bounded, small amount; whatever the bytes are, the result is a report or a
// rejection, never an exception.

import { Buffer } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { LoadFigures, LoadWish } from './load-report.ts';
import { isRejection, type Rejection, rejection } from './rejections.ts';
import { checkContent, isPlainObject } from './report-limits.ts';

/** The largest datagram that is looked at. */
export const MAX_REPORT_BYTES = 8192;
/** Backends in one report. */
export const MAX_REPORT_BACKENDS = 32;
export const MIN_KEY_BYTES = 16;
/** An agent has at most two keys at a time: while they are changed, the old one and the new one. */
export const MAX_ACTIVE_KEYS = 2;

const VERSION = 1;
const HEADER_BYTES = 32;
const MAC_BYTES = 32;
export const BOOT_ID_BYTES = 8;
const MAX_NAME_BYTES = 63;
const MAX_SEQUENCE_HIGH = 0x1f_ffff;
const TWO_TO_32 = 0x1_0000_0000;

// Names as they are in the configuration of weir.
const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const BACKEND_KEY = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** What is said about one backend. */
export interface BackendLoad {
  /** 'service/backend' */
  readonly backend: string;
  readonly figures: LoadFigures;
  readonly wish?: LoadWish;
}

export interface AgentReport {
  readonly agent: string;
  /** 16 hexadecimal digits; another one at each start of the agent. */
  readonly bootId: string;
  /** Rises within a boot id; a whole number below 2^53. */
  readonly sequence: number;
  /** The agent's clock: milliseconds since 1970. */
  readonly wallClockMs: number;
  /** At least one, no backend twice. */
  readonly backends: readonly BackendLoad[];
}

/** Whether a text can be the name of an agent. */
export function isAgentName(text: string): boolean {
  return AGENT_NAME.test(text);
}

/** Whether a text can name a backend, as 'service/backend'. */
export function isBackendKey(text: string): boolean {
  return BACKEND_KEY.test(text);
}

/**
 * Makes the datagram.
 *
 * @param key at least 16 bytes
 * @throws RangeError when the report does not fit or cannot be written: a mistake of the caller, who
 *   checks names with isAgentName, figures with checkFigures and splits what is too large
 */
export function signReport(report: AgentReport, key: Uint8Array): Buffer {
  const content = Buffer.from(JSON.stringify({ backends: report.backends }), 'utf8');
  const length = HEADER_BYTES + report.agent.length + content.length + MAC_BYTES;
  if (!isAgentName(report.agent)) throw new RangeError(`'${report.agent}' is no name of an agent`);
  if (key.length < MIN_KEY_BYTES) throw new RangeError(`a key has at least ${MIN_KEY_BYTES} bytes`);
  if (length > MAX_REPORT_BYTES) throw new RangeError(`a report of ${length} bytes is too large`);
  if (!/^[0-9a-f]{16}$/.test(report.bootId)) throw new RangeError('a boot id has 16 hex digits');
  if (!Number.isSafeInteger(report.sequence) || report.sequence < 0) {
    throw new RangeError(`${report.sequence} is no sequence number`);
  }
  const bytes = Buffer.alloc(length);
  bytes.write('WLR', 0, 'latin1');
  bytes[3] = VERSION;
  bytes[4] = report.agent.length;
  bytes.writeUInt16BE(content.length, 6);
  bytes.write(report.bootId, 8, 'hex');
  writeUint53(bytes, 16, report.sequence);
  writeUint53(bytes, 24, Math.max(0, Math.trunc(report.wallClockMs)));
  bytes.write(report.agent, HEADER_BYTES, 'latin1');
  content.copy(bytes, HEADER_BYTES + report.agent.length);
  const end = length - MAC_BYTES;
  createHmac('sha256', key).update(bytes.subarray(0, end)).digest().copy(bytes, end);
  return bytes;
}

/** How many bytes a report about these backends takes. */
export function reportBytes(agent: string, backends: readonly BackendLoad[]): number {
  const content = Buffer.byteLength(JSON.stringify({ backends }), 'utf8');
  return HEADER_BYTES + agent.length + content + MAC_BYTES;
}

/**
 * Verifies and reads a datagram, in this order: size, envelope, agent, signature, content. Whether the
 * sequence is new, the clock near and the backend allowed is for the caller, who has the state for it.
 *
 * @param keysOf the keys of an agent by its name, undefined when there is none of that name
 */
export function openReport(
  bytes: Uint8Array,
  keysOf: (agent: string) => readonly Uint8Array[] | undefined,
): AgentReport | Rejection {
  if (bytes.length > MAX_REPORT_BYTES) {
    return rejection('too-large', `${bytes.length} bytes, at most ${MAX_REPORT_BYTES}`);
  }
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const envelope = readEnvelope(buffer);
  if (isRejection(envelope)) return envelope;
  const { agent } = envelope;
  const keys = keysOf(agent);
  if (keys === undefined) return rejection('unknown-agent', `'${agent}'`, agent);
  if (!isSignedWithOneOf(buffer, keys)) {
    return rejection('wrong-key', 'no key of the agent gives this signature', agent);
  }
  const start = HEADER_BYTES + agent.length;
  const backends = readBackends(buffer.toString('utf8', start, buffer.length - MAC_BYTES));
  if (isRejection(backends)) return rejection(backends.rejected, backends.detail, agent);
  return { ...envelope, backends };
}

type Envelope = Omit<AgentReport, 'backends'>;

function readEnvelope(buffer: Buffer): Envelope | Rejection {
  if (buffer.length < HEADER_BYTES + 1 + MAC_BYTES) {
    return rejection('malformed', `${buffer.length} bytes are too few for a report`);
  }
  if (buffer[0] !== 0x57 || buffer[1] !== 0x4c || buffer[2] !== 0x52) {
    return rejection('malformed', "it does not begin with 'WLR'");
  }
  if (buffer[3] !== VERSION) return rejection('unknown-version', `version ${buffer[3]}`);
  const nameBytes = buffer[4];
  const contentBytes = buffer.readUInt16BE(6);
  if (nameBytes === 0 || nameBytes > MAX_NAME_BYTES || buffer[5] !== 0) {
    return rejection('malformed', 'the header is not one of a report');
  }
  if (HEADER_BYTES + nameBytes + contentBytes + MAC_BYTES !== buffer.length) {
    return rejection('malformed', 'the lengths in the header do not give its length');
  }
  const agent = buffer.toString('latin1', HEADER_BYTES, HEADER_BYTES + nameBytes);
  if (!isAgentName(agent)) return rejection('malformed', "the agent's name has other characters");
  const sequence = readUint53(buffer, 16);
  const wallClockMs = readUint53(buffer, 24);
  if (sequence < 0 || wallClockMs < 0) {
    return rejection('malformed', 'the sequence number or the clock is 2^53 or more');
  }
  return {
    agent,
    bootId: buffer.toString('hex', 8, 8 + BOOT_ID_BYTES),
    sequence,
    wallClockMs,
  };
}

function isSignedWithOneOf(buffer: Buffer, keys: readonly Uint8Array[]): boolean {
  const end = buffer.length - MAC_BYTES;
  const signed = buffer.subarray(0, end);
  const mac = buffer.subarray(end);
  for (const key of keys.slice(0, MAX_ACTIVE_KEYS)) {
    if (key.length < MIN_KEY_BYTES) continue;
    const expected = createHmac('sha256', key).update(signed).digest();
    if (timingSafeEqual(expected, mac)) return true;
  }
  return false;
}

function readBackends(text: string): BackendLoad[] | Rejection {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return rejection('malformed', 'the content is not JSON');
  }
  if (!isPlainObject(content) || !Array.isArray(content.backends)) {
    return rejection('malformed', 'the content has no list of backends');
  }
  const entries: unknown[] = content.backends;
  if (entries.length === 0) return rejection('malformed', 'the list of backends is empty');
  if (entries.length > MAX_REPORT_BACKENDS) {
    return rejection('too-many', `${entries.length} backends, at most ${MAX_REPORT_BACKENDS}`);
  }
  const backends: BackendLoad[] = [];
  for (const entry of entries) {
    const load = readBackend(entry);
    if (isRejection(load)) return load;
    if (backends.some(({ backend }) => backend === load.backend)) {
      return rejection('malformed', `${load.backend} stands in it twice`);
    }
    backends.push(load);
  }
  return backends;
}

function readBackend(entry: unknown): BackendLoad | Rejection {
  if (!isPlainObject(entry) || typeof entry.backend !== 'string' || !isBackendKey(entry.backend)) {
    return rejection('malformed', 'an entry does not name its backend as service/backend');
  }
  const content = checkContent(entry.figures, entry.wish);
  if (!isRejection(content)) return { backend: entry.backend, ...content };
  return rejection(content.rejected, `${entry.backend}: ${content.detail}`);
}

function writeUint53(buffer: Buffer, offset: number, value: number): void {
  buffer.writeUInt32BE(Math.floor(value / TWO_TO_32), offset);
  buffer.writeUInt32BE(value % TWO_TO_32, offset + 4);
}

/** @returns -1 for what is 2^53 or more, which a number cannot hold exactly */
function readUint53(buffer: Buffer, offset: number): number {
  const high = buffer.readUInt32BE(offset);
  if (high > MAX_SEQUENCE_HIGH) return -1;
  return high * TWO_TO_32 + buffer.readUInt32BE(offset + 4);
}
