// IPv4 addresses and networks as people write them in a configuration file, with a precise word on
// what is wrong when they are not. Only configuration comes through here, never a packet.
//
// Invariant: an address is an int32 in host order (10.0.0.1 is 0x0a000001; 192.0.2.1 is negative),
// as in the tables. Text form: RFC 6943 section 3.1.1, "strict" (four decimal parts, no leading
// zeros, which some programs would read as octal). Prefixes: RFC 4632.

/** What is wrong with a text, and what to write instead ('' when there is nothing to propose). */
export interface TextFault {
  readonly message: string;
  readonly suggestion: string;
}

export interface Ipv4Network {
  /** The address as written, host bits included. */
  readonly address: number;
  readonly prefixLength: number;
}

/** True for the results of this file's parsers that are faults. */
export function isTextFault(parsed: unknown): parsed is TextFault {
  return typeof parsed === 'object' && parsed !== null && 'message' in parsed;
}

/** The mask of a prefix length, 0 … 32. */
export function prefixMask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (-1 << (32 - prefixLength)) | 0;
}

export function networkContains(network: Ipv4Network, address: number): boolean {
  return ((network.address ^ address) & prefixMask(network.prefixLength)) === 0;
}

export function networksOverlap(a: Ipv4Network, b: Ipv4Network): boolean {
  return a.prefixLength <= b.prefixLength
    ? networkContains(a, b.address)
    : networkContains(b, a.address);
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** An address such as 10.1.0.1, of any kind. */
export function parseIpv4(text: string): number | TextFault {
  if (text.includes('/')) {
    const bare = text.slice(0, text.indexOf('/'));
    return fault(`${text}: an address is expected here, without a prefix length`, `write ${bare}`);
  }
  if (text.includes(':')) return fault(`${text}: not an IPv4 address`, 'write it as in 10.1.0.1');
  const parts = text.split('.');
  if (parts.length !== 4) {
    const found = parts.length === 1 ? '1 part' : `${parts.length} parts`;
    return fault(`${text}: ${found}, an IPv4 address has 4`, 'write it as in 10.1.0.1');
  }
  let address = 0;
  for (const [index, part] of parts.entries()) {
    if (!/^[0-9]+$/.test(part))
      return fault(`${text}: '${part}' is not a number from 0 to 255`, '');
    if (Number(part) > 255) return fault(`${text}: ${part} is not 0–255`, '');
    if (part.length > 1 && part.startsWith('0')) {
      const plain = parts.with(index, String(Number(part))).join('.');
      return fault(`${text}: ${part} has a leading zero`, `write ${plain}`);
    }
    address = (address << 8) | Number(part);
  }
  return address;
}

/** An address that one host can have: not 0.x, loopback, multicast or reserved (RFC 6890). */
export function parseIpv4Unicast(text: string): number | TextFault {
  const address = parseIpv4(text);
  if (isTextFault(address)) return address;
  const kind = unusableKind(address);
  return kind === '' ? address : fault(`${text} is ${kind}, not the address of a host`, '');
}

/** A network such as 10.1.0.0/16 (no bits set after the prefix), or `default`, which is 0.0.0.0/0. */
export function parseIpv4Network(text: string): Ipv4Network | TextFault {
  if (text === 'default') return { address: 0, prefixLength: 0 };
  if (/^[a-z]+$/i.test(text)) {
    return fault(`${text} is no network`, 'write default, or a network as in 10.1.0.0/24');
  }
  const network = parseCidr(text, '10.1.0.0/24');
  if (isTextFault(network)) return network;
  const { address, prefixLength } = network;
  const base = address & prefixMask(prefixLength);
  if (base === address) return network;
  return fault(
    `${text}: bits are set after the first ${prefixLength}`,
    `write ${formatIpv4(base)}/${prefixLength} for the network, ${formatIpv4(address)}/32 for the host`,
  );
}

/** The address of an interface with its network's prefix length, such as 10.1.0.1/24. */
export function parseInterfaceAddress(text: string): Ipv4Network | TextFault {
  const network = parseCidr(text, '10.1.0.1/24');
  if (isTextFault(network)) return network;
  const { address, prefixLength } = network;
  if (prefixLength === 0) return fault(`${text}: an interface's network cannot be /0`, '');
  const kind = unusableKind(address);
  if (kind !== '') return fault(`${text} is ${kind}, not the address of a host`, '');
  if (prefixLength >= 31) return network; // RFC 3021: no network or broadcast address
  const base = address & prefixMask(prefixLength);
  const broadcast = base | ~prefixMask(prefixLength);
  if (address === base) {
    const first = `${formatIpv4(base + 1)}/${prefixLength}`;
    return fault(`${text} is the network itself, not an address in it`, `write it as in ${first}`);
  }
  if (address === broadcast) return fault(`${text} is the broadcast address of its network`, '');
  return network;
}

function parseCidr(text: string, example: string): Ipv4Network | TextFault {
  const slash = text.indexOf('/');
  if (slash === -1) {
    const address = parseIpv4(text);
    if (isTextFault(address)) return address;
    return fault(`${text}: the prefix length is missing`, `write it as in ${example}`);
  }
  const address = parseIpv4(text.slice(0, slash));
  if (isTextFault(address)) return address;
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]?)$/.test(length) || Number(length) > 32) {
    return fault(`${text}: prefix length '${length}' is not 0–32`, `write it as in ${example}`);
  }
  return { address, prefixLength: Number(length) };
}

function unusableKind(address: number): string {
  const first = address >>> 24;
  if (first === 0) return "an address of 'this network' (0.0.0.0/8)";
  if (first === 127) return 'a loopback address';
  if (first >= 240) return 'a reserved or broadcast address';
  if (first >= 224) return 'a multicast address';
  return '';
}

function fault(message: string, suggestion: string): TextFault {
  return { message, suggestion };
}
