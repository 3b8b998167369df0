// Where everything in the lab's network is: which subnet, which address, which MAC address. One
// place, so that demo, scenarios, benchmarks and documents agree.
//
//   channel   client side     switch     VIP          server side     switch
//   0         10.1.0.0/24     10.1.0.1   10.1.0.100   10.2.0.0/24     10.2.0.1    (ext0, int0)
//   1         10.3.0.0/24     10.3.0.1   10.3.0.100   10.4.0.0/24     10.4.0.1    (ext1, int1)
//
// Clients are .10, .11 … on the client side, servers .11, .12 … on the server side. For direct
// server return the servers also stand on the client side of channel 0, as .21, .22 …. The switch's
// management interface, which its kernel owns, is .9 on the server side of channel 0.
// A MAC address is 02:00 followed by the four bytes of the IPv4 address: captures read themselves.

/** Hosts of one kind that the addressing leaves room for. */
export const MAXIMUM_CLIENTS = 10;
export const MAXIMUM_BACKENDS = 70;

export type Channel = 0 | 1;

/** Every subnet is a /24. */
export const PREFIX_LENGTH = 24;

const CLIENT_SUBNETS = ['10.1.0', '10.3.0'];
const SERVER_SUBNETS = ['10.2.0', '10.4.0'];

/** The address of a client; `index` counts from 0. */
export function clientAddress(index: number, channel: Channel): string {
  return `${CLIENT_SUBNETS[channel]}.${10 + index}`;
}

/** The address of a server on the server side; `index` counts from 0. */
export function serverAddress(index: number, channel: Channel): string {
  return `${SERVER_SUBNETS[channel]}.${11 + index}`;
}

/** The address of a server on the client side, for direct server return. */
export function directAddress(index: number): string {
  return `${CLIENT_SUBNETS[0]}.${21 + index}`;
}

/** The switch's own address on its external interface. */
export function externalAddress(channel: Channel): string {
  return `${CLIENT_SUBNETS[channel]}.1`;
}

/** The switch's own address on its internal interface: the servers' gateway. */
export function internalAddress(channel: Channel): string {
  return `${SERVER_SUBNETS[channel]}.1`;
}

/** The kernel's own address on the servers' network, for what is not switched: checks and reports. */
export function managementAddress(): string {
  return `${SERVER_SUBNETS[0]}.9`;
}

/** The virtual address that clients talk to. */
export function virtualAddress(channel: Channel): string {
  return `${CLIENT_SUBNETS[channel]}.100`;
}

/** The MAC address of the interface that bears this IPv4 address. */
export function macAddress(address: string): string {
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['02', '00', ...bytes].join(':');
}
