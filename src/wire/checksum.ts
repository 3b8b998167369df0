// The Internet checksum: RFC 1071 (what it is) and RFC 1624, equation 3 (how to change it without
// reading the packet again). Used by the packet filter after each rewrite, and wherever the switch
// writes a packet of its own (reset, ICMP error).
//
// Three kinds of numbers, all 0 … 0xffff, all of ones-complement arithmetic:
//   sum         the folded sum of 16-bit words; sums of adjoining even-sized pieces may be chained
//   checksum    what stands on the wire: the complement of the sum
//   difference  what a rewrite adds to the sum. Differences add up, so that a connection's record
//               holds one for the IP header and one for TCP or UDP, each computed once.
//
// Invariant: a checksum right before `apply` is right after it, and one that was wrong stays wrong:
// damage done before the switch is never hidden from the receiver.

const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;
const PROTOCOL_ICMP = 1;
const PROTOCOL_UDP = 17;
const UDP_CHECKSUM = 6;

/** Bytes that can be summed before an int32 could overflow: 2^13 words of at most 2^17 - 2 each. */
const CHUNK_SIZE = 0x8000;

/** Folds the carries of an int32 sum that is not negative into 16 bits. @hot */
export function fold(total: number): number {
  const once = (total >>> 16) + (total & 0xffff);
  return (once >>> 16) + (once & 0xffff);
}

/**
 * The folded sum of `length` bytes at `offset`, added to the sum `initial` (0 … 0xffff). An odd last
 * byte counts as the upper half of a word, so only the last piece of a chain may be odd. @hot
 */
export function sum(view: DataView, offset: number, length: number, initial: number): number {
  const end = (offset + length) | 0;
  const wordsEnd = (end - (length & 3)) | 0;
  let total = initial;
  let at = offset;
  while (at < wordsEnd) {
    const chunkEnd = wordsEnd - at > CHUNK_SIZE ? (at + CHUNK_SIZE) | 0 : wordsEnd;
    for (; at < chunkEnd; at = (at + 4) | 0) {
      const word = view.getInt32(at);
      total = (total + (word >>> 16) + (word & 0xffff)) | 0;
    }
    total = fold(total);
  }
  if ((length & 2) !== 0) {
    total = (total + view.getUint16(at)) | 0;
    at = (at + 2) | 0;
  }
  if ((length & 1) !== 0) total = (total + (view.getUint8(at) << 8)) | 0;
  return fold(total);
}

/**
 * The sum of the pseudo-header that TCP and UDP checksums cover (RFC 9293 §3.1, RFC 768). `length`
 * is that of the segment or datagram with its header, in bytes. @hot
 */
export function pseudoHeaderSum(
  source: number,
  destination: number,
  protocol: number,
  length: number,
): number {
  return fold(
    (source >>> 16) +
      (source & 0xffff) +
      (destination >>> 16) +
      (destination & 0xffff) +
      protocol +
      length,
  );
}

/** The checksum that belongs to a folded sum. @hot */
export function complement(folded: number): number {
  return ~folded & 0xffff;
}

/** What replacing one 16-bit word by another adds to a sum. @hot */
export function difference16(oldWord: number, newWord: number): number {
  return fold((~oldWord & 0xffff) + (newWord & 0xffff));
}

/** What replacing one 32-bit word (an IPv4 address) by another adds to a sum. @hot */
export function difference32(oldWord: number, newWord: number): number {
  const inverted = ~oldWord;
  return fold((inverted >>> 16) + (inverted & 0xffff) + (newWord >>> 16) + (newWord & 0xffff));
}

/** One difference that does what both do. @hot */
export function addDifferences(first: number, second: number): number {
  return fold(first + second);
}

/** The checksum after a rewrite that adds `difference` to the sum (RFC 1624, equation 3). @hot */
export function apply(checksum: number, difference: number): number {
  return ~fold((~checksum & 0xffff) + difference) & 0xffff;
}

/**
 * As `apply`, for UDP, where zero says that there is no checksum: none stays none, and a computed
 * zero is sent as its other form, 0xffff (RFC 768). @hot
 */
export function applyUdp(checksum: number, difference: number): number {
  if (checksum === 0) return 0;
  const updated = apply(checksum, difference);
  return updated === 0 ? 0xffff : updated;
}

/** The checksum after one 16-bit word it covers was replaced. @hot */
export function update16(checksum: number, oldWord: number, newWord: number): number {
  return apply(checksum, difference16(oldWord, newWord));
}

/** The checksum after one 32-bit word it covers, at an even offset, was replaced. @hot */
export function update32(checksum: number, oldWord: number, newWord: number): number {
  return apply(checksum, difference32(oldWord, newWord));
}

/**
 * Whether the checksum of the TCP segment, UDP datagram or ICMP message of `length` bytes at
 * `transportOffset` is right. The addresses are read from the IPv4 header at `ipOffset`; ICMP has no
 * pseudo-header (RFC 792). A UDP datagram without a checksum is valid. Never true of a fragment,
 * but by chance: the checksum covers the whole datagram. @hot
 */
export function transportChecksumIsValid(
  view: DataView,
  ipOffset: number,
  transportOffset: number,
  length: number,
  protocol: number,
): boolean {
  if (protocol === PROTOCOL_UDP && view.getUint16(transportOffset + UDP_CHECKSUM) === 0) {
    return true;
  }
  const initial =
    protocol === PROTOCOL_ICMP
      ? 0
      : pseudoHeaderSum(
          view.getInt32(ipOffset + IPV4_SOURCE),
          view.getInt32(ipOffset + IPV4_DESTINATION),
          protocol,
          length,
        );
  return sum(view, transportOffset, length, initial) === 0xffff;
}
