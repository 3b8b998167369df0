// Says of a frame that went in and a frame that came out whether the second may have come of the first.
// It knows the rules (RFC 1812 §5, the services of the switch bench) and nothing of how the switch does
// it; it reads with the independent decoder. Every answer but '' is a fault of the switch.

import { decodeFrame, type FrameFields } from './packet-fields.ts';
import { EXT_MAC, INT_MAC, type Sent, VIP } from './switch-bench.ts';

const OURS = [VIP, '10.1.0.1', '10.2.0.1'];
const SERVERS = ['10.2.0.11', '10.2.0.12'];

/** Why no switch may act on this frame as IPv4; '' when it may. */
function faultOfInput(frame: FrameFields, bytes: Uint8Array, ingressMac: string): string {
  const { ipv4, ethernet } = frame;
  if (ethernet?.destination !== ingressMac) return 'was for another MAC address';
  if (ethernet.type !== '0x0800' || ipv4 === undefined) return 'was no IPv4 packet';
  if (ipv4.version !== 4) return `had version ${ipv4.version}`;
  if (!ipv4.headerChecksumValid) return 'had a damaged IP header';
  if (ipv4.totalLength < ipv4.headerLength) return 'had a total length below its header';
  if (bytes.length - 14 - frame.vlans.length * 4 < ipv4.totalLength) return 'was cut';
  if (ipv4.moreFragments || ipv4.fragmentOffset > 0) return 'was a fragment';
  const first = Number.parseInt(ipv4.source, 10);
  if (first === 0 || first === 127 || first >= 224) return `came from ${ipv4.source}`;
  if (frame.tcp === undefined && frame.udp === undefined && frame.icmp === undefined) {
    return 'had no whole TCP, UDP or ICMP header';
  }
  return '';
}

/** What is wrong with a frame that the switch wrote or forwarded, whatever the input. */
export function faultOfOutput(frame: FrameFields, sent: Sent): string {
  const { ipv4, ethernet } = frame;
  if (ethernet?.source !== (sent.egress === 0 ? EXT_MAC : INT_MAC))
    return 'bears a foreign MAC address';
  if (frame.arp !== undefined) return '';
  if (ipv4 === undefined) return 'is neither IPv4 nor ARP';
  if (!ipv4.headerChecksumValid) return 'has a damaged IP header';
  const available = sent.bytes.length - 14 - frame.vlans.length * 4;
  if (available < ipv4.totalLength) return 'is shorter than its packet';
  if (sent.bytes.length > Math.max(60, sent.bytes.length - available + ipv4.totalLength)) {
    return 'has bytes behind its packet';
  }
  if (ipv4.timeToLive === 0) return 'has no time to live';
  return '';
}

function forwarded(input: FrameFields, output: FrameFields): string {
  const [before, after] = [input.ipv4!, output.ipv4!];
  const isDirect = after.timeToLive === before.timeToLive && after.destination === VIP;
  if (!isDirect && after.timeToLive !== before.timeToLive - 1) return 'has the wrong time to live';
  if (input.icmp !== undefined) return forwardedError(input, output);
  const kind = before.protocol === 6 ? 'tcp' : 'udp';
  const [from, to] = [input[kind]!, output[kind]!];
  if (to === undefined) return 'has lost its transport header';
  if (from.checksumValid !== to.checksumValid) return 'has another validity of its checksum';
  if (input.payload !== output.payload) return 'has another payload';
  const untouched = ['headerLength', 'typeOfService', 'totalLength', 'identification', 'options'];
  for (const name of [...untouched, 'dontFragment'] as (keyof typeof before)[]) {
    if (before[name] !== after[name]) return `has another ${name}`;
  }
  if (isDirect) return from.destinationPort === to.destinationPort ? '' : 'has another port';
  if (before.destination === VIP) {
    if (!SERVERS.includes(after.destination)) return `goes to ${after.destination}`;
    if (before.source !== after.source) return 'has another source';
    return from.sourcePort === to.sourcePort ? '' : 'has another source port';
  }
  if (!SERVERS.includes(before.source))
    return `came from ${before.source} to ${before.destination}`;
  if (after.source !== VIP || after.destination !== before.destination)
    return 'has other addresses';
  return from.destinationPort === to.destinationPort ? '' : 'has another destination port';
}

function forwardedError(input: FrameFields, output: FrameFields): string {
  if (!input.icmp?.checksumValid) return 'came of a damaged ICMP message';
  if (!output.icmp?.checksumValid) return 'has a damaged ICMP message';
  const inside = input.icmp.embedded?.ipv4;
  const translated = output.icmp.embedded?.ipv4;
  if (inside === undefined || translated === undefined) return 'has nothing inside';
  if (inside.headerChecksumValid !== translated.headerChecksumValid) {
    return 'has another validity of the embedded checksum';
  }
  return inside.source === input.ipv4?.destination ? '' : 'was not for who had sent its inside';
}

/** '' when `sent` may have come of `bytes`, which arrived on the interface with `ingressMac`. */
export function judge(bytes: Uint8Array, ingressMac: string, sent: Sent): string {
  const output = decodeFrame(sent.bytes);
  const wrong = faultOfOutput(output, sent);
  if (wrong !== '') return `what left ${wrong}`;
  const input = decodeFrame(bytes);
  if (output.arp !== undefined) {
    if (output.arp.operation === 1) return '';
    return input.arp?.operation === 1 && OURS.includes(output.arp.senderAddress)
      ? ''
      : 'an ARP answer to no question';
  }
  // What ARP sets free came in before, and was whole then.
  if (input.arp !== undefined) return '';
  const fault = faultOfInput(input, bytes, ingressMac);
  if (fault !== '') return `what came in ${fault}`;
  if (output.tcp?.flags.includes('RST') && output.ipv4?.destination === input.ipv4?.source) {
    if (input.tcp === undefined || input.tcp.flags.includes('RST')) return 'a reset out of place';
    return output.tcp.checksumValid && input.tcp.checksumValid ? '' : 'a reset with damage';
  }
  if (output.icmp?.type === 0 && output.ipv4?.destination === input.ipv4?.source) {
    if (input.icmp?.type !== 8 || !OURS.includes(input.ipv4?.destination ?? '')) return 'an echo';
    return output.icmp.checksumValid && input.icmp.checksumValid ? '' : 'a damaged echo';
  }
  const verdict = forwarded(input, output);
  return verdict === '' ? '' : `what was forwarded ${verdict}`;
}
