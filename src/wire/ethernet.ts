// Ethernet II framing: the first 14 bytes of every frame (RFC 894; IEEE 802.3 §3.2).
// First thing that the packet filter reads, last thing that it writes: MAC addresses change at
// every hop. A MAC address is two numbers, so that it lies in an int32 table and no packet needs an
// object: *high*, the first two bytes (0 … 0xffff), and *low*, the other four as an int32.
// Invariant: after `isComplete` no accessor here leaves the frame.

const DESTINATION = 0;
const SOURCE = 6;
const TYPE = 12;

export const HEADER_SIZE = 14;

export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_VLAN = 0x8100;
export const TYPE_IPV6 = 0x86dd;
/** The outer tag of two (IEEE 802.1ad). */
export const TYPE_VLAN_SERVICE = 0x88a8;

export const BROADCAST_HIGH = 0xffff;
export const BROADCAST_LOW = -1;

/** The bit of a MAC address's first byte that marks a group: multicast or broadcast. */
const GROUP_BIT = 0x01;
const MAC_TEXT = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** Whether a whole Ethernet header lies between `offset` and `end`. @hot */
export function isComplete(_view: DataView, offset: number, end: number): boolean {
  return end - offset >= HEADER_SIZE;
}

/** @hot */
export function destinationHigh(view: DataView, offset: number): number {
  return view.getUint16(offset + DESTINATION);
}

/** @hot */
export function destinationLow(view: DataView, offset: number): number {
  return view.getInt32(offset + DESTINATION + 2);
}

/** @hot */
export function setDestination(view: DataView, offset: number, high: number, low: number): void {
  view.setUint16(offset + DESTINATION, high);
  view.setInt32(offset + DESTINATION + 2, low);
}

/** @hot */
export function sourceHigh(view: DataView, offset: number): number {
  return view.getUint16(offset + SOURCE);
}

/** @hot */
export function sourceLow(view: DataView, offset: number): number {
  return view.getInt32(offset + SOURCE + 2);
}

/** @hot */
export function setSource(view: DataView, offset: number, high: number, low: number): void {
  view.setUint16(offset + SOURCE, high);
  view.setInt32(offset + SOURCE + 2, low);
}

/** What the header is followed by: one of `TYPE_…`. With a VLAN tag, see vlan.ts. @hot */
export function type(view: DataView, offset: number): number {
  return view.getUint16(offset + TYPE);
}

/** @hot */
export function setType(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + TYPE, value);
}

/** Whether the frame is for more than one receiver: multicast or broadcast. @hot */
export function isGroup(view: DataView, offset: number): boolean {
  return (view.getUint8(offset + DESTINATION) & GROUP_BIT) !== 0;
}

/** The upper 16 bits of a MAC address such as `02:00:00:00:00:01`; throws on anything else. */
export function parseMacHigh(text: string): number {
  return Number.parseInt(macDigits(text).slice(0, 4), 16);
}

/** The lower 32 bits of a MAC address such as `02:00:00:00:00:01`, as an int32. */
export function parseMacLow(text: string): number {
  return Number.parseInt(macDigits(text).slice(4), 16) | 0;
}

/** The usual text of a MAC address: lower case, with colons. */
export function formatMac(high: number, low: number): string {
  const digits =
    (high & 0xffff).toString(16).padStart(4, '0') + (low >>> 0).toString(16).padStart(8, '0');
  return digits.replace(/..(?!$)/g, '$&:');
}

function macDigits(text: string): string {
  if (!MAC_TEXT.test(text)) throw new RangeError(`not a MAC address: ${JSON.stringify(text)}`);
  return text.replaceAll(':', '');
}
