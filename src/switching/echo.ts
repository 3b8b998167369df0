// Answers an ICMP echo request in place (RFC 792, RFC 1122 §3.2.2.6): the data stays as it is, so the
// answer is exactly as long as the question and nobody can use us to amplify.
// The caller has found the ICMP checksum right, so changing it by the difference keeps it right.

import * as checksum from '../wire/checksum.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import type { PacketContext } from './packet-context.ts';
import { swapMacAddresses } from './reset.ts';

const TIME_TO_LIVE = 64;

/** Turns the request into its reply; the frame keeps its length. @hot */
export function writeEchoReply(view: DataView, context: PacketContext): void {
  const network = context.networkOffset;
  const message = context.transportOffset;
  swapMacAddresses(view, context.offset);
  // Swapping the addresses changes no sum; the time to live does.
  ipv4.setSource(view, network, context.destination);
  ipv4.setDestination(view, network, context.source);
  const before = ipv4.timeToLiveAndProtocol(view, network);
  ipv4.setTimeToLive(view, network, TIME_TO_LIVE);
  const after = ipv4.timeToLiveAndProtocol(view, network);
  const header = ipv4.headerChecksum(view, network);
  ipv4.setHeaderChecksum(view, network, checksum.update16(header, before, after));

  icmpv4.setType(view, message, icmpv4.TYPE_ECHO_REPLY);
  const sum = icmpv4.checksum(view, message);
  const echo = icmpv4.TYPE_ECHO << 8;
  const updated = checksum.update16(sum, echo, icmpv4.TYPE_ECHO_REPLY << 8);
  // A reply may consist of zeros throughout, whose checksum is the other form of zero.
  icmpv4.setChecksum(view, message, updated === 0 ? 0xffff : updated);
}
