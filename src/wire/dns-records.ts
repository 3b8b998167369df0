// Records of a zone from text to the bytes that stand in an answer (RFC 1035 §3.3 and §3.4, RFC 3596, RFC
// 2782, RFC 8659): done once, when the application is set up. Names within them are written in full, as every
// receiver must take them.

import { encodeName } from './dns-names.ts';
import { parseAddress } from './ipv4.ts';

export const TYPE_A = 1;
export const TYPE_NS = 2;
export const TYPE_CNAME = 5;
export const TYPE_SOA = 6;
export const TYPE_PTR = 12;
export const TYPE_HINFO = 13;
export const TYPE_MX = 15;
export const TYPE_TXT = 16;
export const TYPE_AAAA = 28;
export const TYPE_SRV = 33;
export const TYPE_OPT = 41;
export const TYPE_IXFR = 251;
export const TYPE_AXFR = 252;
export const TYPE_ANY = 255;
export const TYPE_CAA = 257;

/** Types that the configuration can name. */
export const RECORD_TYPES: Readonly<Record<string, number>> = {
  A: TYPE_A,
  AAAA: TYPE_AAAA,
  CNAME: TYPE_CNAME,
  TXT: TYPE_TXT,
  MX: TYPE_MX,
  NS: TYPE_NS,
  SRV: TYPE_SRV,
  PTR: TYPE_PTR,
  CAA: TYPE_CAA,
};

const STRING_MAX = 255;

/** Sixteen bytes of an IPv6 address. @throws Error when it is none */
export function encodeIpv6(text: string): Uint8Array {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let rest = text;
  if (dotted !== null) {
    const address = parseAddress(dotted[2]) >>> 0;
    rest = `${dotted[1]}${(address >>> 16).toString(16)}:${(address & 0xffff).toString(16)}`;
  }
  const [head, tail, ...more] = rest
    .split('::')
    .map((part) => (part === '' ? [] : part.split(':')));
  const missing = 8 - head.length - (tail?.length ?? 0);
  const zeros = new Array<string>(Math.max(missing, 0)).fill('0');
  const groups = [...head, ...(tail === undefined ? [] : zeros), ...(tail ?? [])];
  const isWhole = groups.length === 8 && (tail === undefined || missing > 0) && more.length === 0;
  if (!isWhole || !groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) {
    throw new Error(`${text} is no IPv6 address`);
  }
  return Uint8Array.from(
    groups.flatMap((g) => [Number.parseInt(g, 16) >> 8, Number.parseInt(g, 16) & 0xff]),
  );
}

function word16(text: string): number[] {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffff) throw new Error(`${text} is not between 0 and 65535`);
  return [value >> 8, value & 0xff];
}

function encodeText(text: string): Uint8Array {
  const raw = Buffer.from(text, 'utf8');
  const pieces: number[] = [];
  for (let at = 0; at < raw.length || at === 0; at += STRING_MAX) {
    const piece = raw.subarray(at, at + STRING_MAX);
    pieces.push(piece.length, ...piece);
  }
  return Uint8Array.from(pieces);
}

/** A number of 16-bit words before a name: MX, SRV. */
function wordsAndName(text: string, words: number, origin: Uint8Array): Uint8Array {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== words + 1) {
    throw new Error(
      `${text}: ${words === 1 ? 'a number' : `${words} numbers`} and a name are expected`,
    );
  }
  const numbers = parts.slice(0, words).flatMap(word16);
  return Uint8Array.from([...numbers, ...encodeName(parts[words], origin)]);
}

/** `0 issue "letsencrypt.org"`: flags, a tag, and the rest as it is, with or without quotes. */
function encodeCaa(text: string): Uint8Array {
  const [, flags, tag, quoted, plain] =
    /^\s*(\d{1,3})\s+([A-Za-z0-9]{1,15})\s+(?:"([^"]*)"|(\S+))\s*$/.exec(text) ?? [];
  if (flags === undefined || Number(flags) > 255) {
    throw new Error(`${text}: flags, a tag and a value are expected`);
  }
  const value = Buffer.from(quoted ?? plain, 'utf8');
  return Uint8Array.from([Number(flags), tag.length, ...Buffer.from(tag), ...value]);
}

/** The data of one record. @throws Error when the text is not of its type */
export function encodeData(type: number, text: string, origin: Uint8Array): Uint8Array {
  switch (type) {
    case TYPE_A: {
      const address = parseAddress(text);
      return Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
    }
    case TYPE_AAAA:
      return encodeIpv6(text);
    case TYPE_TXT:
      return encodeText(text);
    case TYPE_MX:
      return wordsAndName(text, 1, origin);
    case TYPE_SRV:
      return wordsAndName(text, 3, origin);
    case TYPE_CAA:
      return encodeCaa(text);
    default:
      return encodeName(text, origin);
  }
}

/** What a zone says of itself, and how long it may be remembered that something is not there. */
export interface SoaText {
  readonly nameserver: string;
  readonly mailbox: string;
  readonly serial: number;
  readonly negativeTtl: number;
}

const REFRESH_SECONDS = 3600;
const RETRY_SECONDS = 600;
const EXPIRE_SECONDS = 604_800;

export function encodeSoa(soa: SoaText, origin: Uint8Array): Uint8Array {
  const numbers = [soa.serial, REFRESH_SECONDS, RETRY_SECONDS, EXPIRE_SECONDS, soa.negativeTtl];
  const names = [...encodeName(soa.nameserver, origin), ...encodeName(soa.mailbox, origin)];
  const words = numbers.flatMap((n) => [n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff]);
  return Uint8Array.from([...names, ...words]);
}
