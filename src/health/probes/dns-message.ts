// DNS messages, as far as a health check needs them: one query out, its answer read. Pure. RFC 1035
// section 4; EDNS and TCP are not used, as no answer is wanted for its size.
// Invariant: any bytes can be read; reading takes at most as many steps as there are bytes, follows
// compression only backwards, and ends with an answer or with what is wrong with it.

import type { DnsRecord } from '../settings.ts';

const HEADER_SIZE = 12;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RESPONSE = 0x8000;
const OPCODE_MASK = 0x7800;
const RCODE_MASK = 0x000f;
const CLASS_IN = 1;
const MAX_NAME_SIZE = 255;
const MAX_LABEL_SIZE = 63;
const POINTER = 0xc0;

const TYPES: Readonly<Record<DnsRecord, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
};

const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

export interface DnsAnswer {
  /** 0 is NOERROR. */
  readonly responseCode: number;
  /** 'SERVFAIL', or 'RCODE 9' for one without a common name. */
  readonly responseName: string;
  /** Records in the answer section, as the header counts them. */
  readonly answers: number;
  /** Of them the addresses that could be read, of records A and AAAA. */
  readonly addresses: readonly string[];
}

/** The labels of a name; undefined when it is no name of DNS. '.' is the root. */
export function labelsOf(name: string): readonly string[] | undefined {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  if (bare === '') return name === '.' ? [] : undefined;
  const labels = bare.split('.');
  const size = labels.reduce((sum, label) => sum + Buffer.byteLength(label, 'latin1') + 1, 1);
  const isValid = labels.every((l) => /^[\x21-\x7e]+$/.test(l) && l.length <= MAX_LABEL_SIZE);
  return isValid && size <= MAX_NAME_SIZE ? labels : undefined;
}

/** A query with one question; `name` is one that `labelsOf` takes. */
export function encodeQuery(id: number, name: string, record: DnsRecord): Buffer {
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG_RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  const labels = (labelsOf(name) ?? []).map((label) => {
    return Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')]);
  });
  const tail = Buffer.alloc(5);
  tail.writeUInt16BE(TYPES[record], 1);
  tail.writeUInt16BE(CLASS_IN, 3);
  return Buffer.concat([header, ...labels, tail]);
}

/**
 * Reads what came in answer to `query`. 'foreign' when it is not an answer to this query at all (another
 * id, another question, no answer): one is to wait on, since anybody may have sent it.
 */
export function readAnswer(message: Buffer, query: Buffer): DnsAnswer | 'foreign' {
  if (message.length < HEADER_SIZE) return 'foreign';
  const flags = message.readUInt16BE(2);
  const isAnswer = (flags & FLAG_RESPONSE) !== 0 && (flags & OPCODE_MASK) === 0;
  if (!isAnswer || message.readUInt16BE(0) !== query.readUInt16BE(0)) return 'foreign';
  const responseCode = flags & RCODE_MASK;
  const questions = message.readUInt16BE(4);
  // A server that cannot read the question may leave it out (RFC 1035 section 4.1.1: FORMERR).
  const mayLackQuestion = questions === 0 && responseCode !== 0;
  if (!mayLackQuestion && !(questions === 1 && hasQuestion(message, query))) return 'foreign';
  const answers = message.readUInt16BE(6);
  const begin = mayLackQuestion ? HEADER_SIZE : query.length;
  return {
    responseCode,
    responseName: RCODES[responseCode] ?? `RCODE ${responseCode}`,
    answers,
    addresses: readAddresses(message, begin, answers),
  };
}

/** The question stands right behind the header, so its name cannot be compressed. */
function hasQuestion(message: Buffer, query: Buffer): boolean {
  const size = query.length;
  if (message.length < size) return false;
  const name = (bytes: Buffer) => bytes.toString('latin1', HEADER_SIZE, size - 4).toLowerCase();
  const isSameType = message.compare(query, size - 4, size, size - 4, size) === 0;
  return isSameType && name(message) === name(query);
}

function readAddresses(message: Buffer, begin: number, answers: number): string[] {
  const found: string[] = [];
  let offset = begin;
  // Each record takes ten bytes at least, so the count in the header cannot lead far.
  for (let i = 0; i < answers; i++) {
    offset = skipName(message, offset);
    if (offset < 0 || offset + 10 > message.length) break;
    const type = message.readUInt16BE(offset);
    const isInternet = message.readUInt16BE(offset + 2) === CLASS_IN;
    const size = message.readUInt16BE(offset + 8);
    const data = message.subarray(offset + 10, offset + 10 + size);
    offset += 10 + size;
    if (offset > message.length) break;
    if (isInternet && type === TYPES.A && size === 4) found.push(data.join('.'));
    if (isInternet && type === TYPES.AAAA && size === 16) found.push(ipv6Text(data));
  }
  return found;
}

/** The offset behind a name, -1 when the message ends within it. Compression ends a name. */
function skipName(message: Buffer, begin: number): number {
  let offset = begin;
  while (offset < message.length) {
    const size = message[offset];
    if (size === 0) return offset + 1;
    if ((size & POINTER) === POINTER) return offset + 2;
    if ((size & POINTER) !== 0) return -1;
    offset += 1 + size;
  }
  return -1;
}

/** Eight groups without leading zeros and without '::': for comparison, not for show. */
function ipv6Text(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
}

/** An address in the form in which `readAnswer` gives it; '' when it is none. */
export function comparableAddress(address: string): string {
  if (/^\d+(?:\.\d+){3}$/.test(address)) return address;
  const [head, tail] = address.toLowerCase().split('::');
  const groups = (text: string | undefined) =>
    text === undefined || text === '' ? [] : text.split(':');
  const before = groups(head);
  const after = groups(tail);
  const missing = tail === undefined ? 0 : 8 - before.length - after.length;
  if (missing < 0) return '';
  const all = [...before, ...new Array<string>(missing).fill('0'), ...after];
  return all.map((group) => Number.parseInt(group, 16).toString(16)).join(':');
}
