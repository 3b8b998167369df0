// The control host's packets, as the switch bench has them: from its programs to the switch, and from the
// switch to them.

import { HOST_MAC_TEXT, PEER_MAC_TEXT } from './host-end.ts';
import { type Ipv4Spec, type PacketBuilder, packet } from './packet-builder.ts';
import { CLIENT, VIP } from './switch-bench.ts';

/** An address of the external network that only the control host has. */
export const CONTROL = '10.1.0.50';
/** An address of no network here. */
export const FAR = '198.51.100.9';
export const CONTROL_CONFIGURATION = {
  addresses: [`${CONTROL}/24`, '10.1.0.1/24', `${VIP}/32`, `${FAR}/32`],
};

/** From a program of the control host, up to the IPv4 header. */
export function fromHost(destination: string, more: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: HOST_MAC_TEXT, destination: PEER_MAC_TEXT })
    .ipv4({ source: CONTROL, destination, ...more });
}

/** The same from the switch to it. */
export function toHost(ip: Ipv4Spec): PacketBuilder {
  return packet()
    .ethernet({ source: PEER_MAC_TEXT, destination: HOST_MAC_TEXT })
    .ipv4({ source: CLIENT, destination: CONTROL, ...ip });
}
