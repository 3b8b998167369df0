// DNS messages for tests, written and read with no code of the program: queries as an asker sends them, and
// answers taken apart into text. What cannot be read as a whole message throws.

export interface QueryOptions {
  readonly id?: number;
  /** Default A. */
  readonly type?: number;
  readonly class?: number;
  /** Whole flag word. Default: recursion desired. */
  readonly flags?: number;
  /** Size that EDNS tells; none: no EDNS. */
  readonly edns?: number;
  readonly ednsVersion?: number;
  readonly ednsFlags?: number;
}

export interface DnsRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  /** Addresses as text, names as text, everything else in hexadecimal. */
  readonly data: string;
}

export interface DnsMessage {
  readonly id: number;
  readonly flags: number;
  readonly code: number;
  readonly question: string;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  readonly length: number;
}

export const TYPES = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
};
export const OPT = 41;

const bytes16 = (value: number) => [(value >> 8) & 0xff, value & 0xff];

export function dnsName(text: string): number[] {
  const labels = text.split('.').filter((label) => label !== '');
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label)]), 0];
}

export function dnsQuery(name: string, options: QueryOptions = {}): Uint8Array {
  const { id = 0x1234, type = 1, class: ofClass = 1, flags = 0x0100, edns } = options;
  const { ednsVersion = 0, ednsFlags = 0 } = options;
  const opt =
    edns === undefined
      ? []
      : [0, ...bytes16(OPT), ...bytes16(edns), 0, ednsVersion, ...bytes16(ednsFlags), 0, 0];
  const counts = [...bytes16(1), 0, 0, 0, 0, ...bytes16(edns === undefined ? 0 : 1)];
  return Uint8Array.from([
    ...bytes16(id),
    ...bytes16(flags),
    ...counts,
    ...dnsName(name),
    ...bytes16(type),
    ...bytes16(ofClass),
    ...opt,
  ]);
}

/** Takes a message apart. @throws Error when it is not whole, or has bytes behind its end */
export function readDns(bytes: Uint8Array): DnsMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const counts = [4, 6, 8, 10].map((at) => view.getUint16(at));
  let at = 12;
  const readName = (from: number): { text: string; end: number } => {
    const labels: string[] = [];
    let end = -1;
    for (let hops = 0; hops < 130; hops++) {
      const length = view.getUint8(from);
      if (length === 0) return { text: labels.join('.'), end: end < 0 ? from + 1 : end };
      if (length >= 0xc0) {
        if (end < 0) end = from + 2;
        const to = view.getUint16(from) & 0x3fff;
        if (to >= from) throw new Error('a pointer that does not point back');
        from = to;
        continue;
      }
      labels.push(Buffer.from(bytes.subarray(from + 1, from + 1 + length)).toString('latin1'));
      from += length + 1;
    }
    throw new Error('a name without an end');
  };
  let question = '';
  for (let i = 0; i < counts[0]; i++) {
    const { text, end } = readName(at);
    question = `${text} ${view.getUint16(end)} ${view.getUint16(end + 2)}`;
    at = end + 4;
  }
  const readRecords = (count: number): DnsRecord[] =>
    Array.from({ length: count }, () => {
      const { text, end } = readName(at);
      const type = view.getUint16(end);
      const length = view.getUint16(end + 8);
      const from = end + 10;
      const raw = bytes.subarray(from, from + length);
      if (raw.length !== length) throw new Error('data that ends behind the message');
      at = from + length;
      let data = Buffer.from(raw).toString('hex');
      if (type === TYPES.A) data = raw.join('.');
      if ([TYPES.NS, TYPES.CNAME, TYPES.PTR].includes(type)) data = readName(from).text;
      const ttl = view.getInt32(end + 4);
      return { name: text, type, class: view.getUint16(end + 2), ttl, data };
    });
  const [, answers, authorities, additionals] = counts.map((count, i) =>
    i === 0 ? [] : readRecords(count),
  );
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes behind the message`);
  const flags = view.getUint16(2);
  const code = flags & 15;
  const id = view.getUint16(0);
  return { id, flags, code, question, answers, authorities, additionals, length: bytes.length };
}
