// The packets of a control host that has an interface of the kernel's on the internal switch (37₀), as the
// switch bench has them: outside it is known by a virtual address, on the internal network by its real one.

import { type Ipv4Spec, type PacketBuilder, packet } from './packet-builder.ts';
import { B1, B2, CLIENT, EXT_MAC, INT_MAC, macOf, SwitchBench } from './switch-bench.ts';

export const VIRTUAL = '10.1.0.50';
export const REAL = '10.2.0.9';
/** A second pair, of a network behind routers. */
export const VIRTUAL_2 = '198.51.100.9';
export const REAL_2 = '10.2.0.8';
export const PAIRS = [
  { virtual: VIRTUAL, real: REAL },
  { virtual: VIRTUAL_2, real: REAL_2 },
];
export const CONTROL_BY_INTERFACE = { via: 'interface', pairs: PAIRS };

/** A switch that knows the control host. */
export function startWithPairs(more: Record<string, unknown> = {}): Promise<SwitchBench> {
  const configuration = { control: CONTROL_BY_INTERFACE, ...more };
  return SwitchBench.create({ configuration, known: [CLIENT, B1, B2, REAL, REAL_2] });
}

/** From a host outside to the switch. */
export function asked(ip: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
    .ipv4({ source: CLIENT, destination: VIRTUAL, timeToLive: 64, ...ip });
}

/** And from there to the control host, one hop further. */
export function atHost(ip: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: INT_MAC, destination: macOf(REAL) })
    .ipv4({ source: CLIENT, destination: REAL, timeToLive: 63, ...ip });
}

/** From the control host to the switch. */
export function answered(ip: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: macOf(REAL), destination: INT_MAC })
    .ipv4({ source: REAL, destination: CLIENT, timeToLive: 64, ...ip });
}

/** And from there to the host outside. */
export function atClient(ip: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: EXT_MAC, destination: macOf(CLIENT) })
    .ipv4({ source: VIRTUAL, destination: CLIENT, timeToLive: 63, ...ip });
}

/** A datagram behind an IPv4 header. */
export function datagram(built: PacketBuilder, rest = {}): PacketBuilder {
  return built.udp({ sourcePort: 5000, destinationPort: 6000, ...rest }).payload('datagram');
}

/** A packet without its frame, such as an error is about. */
export function about(source: string, destination: string): PacketBuilder {
  return datagram(packet().ipv4({ source, destination, timeToLive: 9 }));
}
