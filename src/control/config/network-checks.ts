// Checks of a configuration's networks: that no two interfaces are in the same network, that every
// router is next to us, and that every backend can be reached.
//
// Reachability is judged only when all interfaces and routes are valid by themselves; else one wrong
// interface would make all its backends faults as well.

import type { Path } from './faults.ts';
import {
  type Ipv4Network,
  isTextFault,
  networkContains,
  networksOverlap,
  parseInterfaceAddress,
  parseIpv4,
  parseIpv4Network,
} from './ipv4-text.ts';
import { nearestWord } from './nearest-word.ts';
import type { CheckResult, ConfigurationParts, RoutePart, ServicePart } from './parts.ts';

interface ConnectedNetwork extends Ipv4Network {
  readonly text: string;
  readonly interfaceName: string;
  readonly interfaceIndex: number;
  readonly path: Path;
}

/** Adds what is wrong with the networks to `result`. */
export function networkChecks(parts: ConfigurationParts, result: CheckResult): void {
  const connected = connectedNetworks(parts);
  overlaps(connected, result);
  ownServiceAddresses(parts, connected, result);
  const known = parts.interfaces.every(
    ({ name, addresses }) =>
      name !== undefined && addresses.length > 0 && !addresses.includes(undefined),
  );
  if (!known || parts.interfaces.length === 0) return;
  parts.routes.forEach((route, index) => {
    checkRoute(route, ['routes', index], parts, connected, result);
  });
  if (parts.routes.some(({ to }) => to === undefined)) return;
  const routed = parts.routes.map((route) => parseIpv4Network(route.to as string) as Ipv4Network);
  parts.services.forEach((service, index) => {
    checkBackends(service, ['services', index], connected, routed, result);
  });
}

function connectedNetworks({ interfaces }: ConfigurationParts): ConnectedNetwork[] {
  const networks: ConnectedNetwork[] = [];
  interfaces.forEach((item, interfaceIndex) => {
    item.addresses.forEach((text, index) => {
      if (text === undefined) return;
      const network = parseInterfaceAddress(text);
      if (isTextFault(network)) return;
      const path = ['interfaces', interfaceIndex, 'addresses', index];
      networks.push({ ...network, text, interfaceName: item.name ?? '', interfaceIndex, path });
    });
  });
  return networks;
}

function overlaps(connected: readonly ConnectedNetwork[], { faults }: CheckResult): void {
  connected.forEach((network, index) => {
    const { path, text } = network;
    const before = connected.slice(0, index);
    const twin = before.find(({ address }) => address === network.address);
    if (twin !== undefined) {
      const message = `${text}: ${twin.interfaceName} has this address already`;
      faults.push({ path, message, suggestion: 'give each interface its own address' });
      return;
    }
    const other = before.find(
      (earlier) =>
        earlier.interfaceIndex !== network.interfaceIndex && networksOverlap(earlier, network),
    );
    if (other === undefined) return;
    const message = `${text} overlaps ${other.text}${other.interfaceName === '' ? '' : ` of ${other.interfaceName}`}`;
    faults.push({ path, message, suggestion: 'put the two interfaces into different networks' });
  });
}

function ownServiceAddresses(
  { services }: ConfigurationParts,
  connected: readonly ConnectedNetwork[],
  { warnings }: CheckResult,
): void {
  services.forEach((service, index) => {
    if (service.address === undefined) return;
    const address = parseIpv4(service.address);
    const own = connected.find((network) => network.address === address);
    if (own === undefined) return;
    const message = `${service.address} is also the own address of ${own.interfaceName}`;
    const suggestion = 'an address of its own lets the service move to another machine';
    warnings.push({ path: ['services', index, 'address'], message, suggestion });
  });
}

function checkRoute(
  route: RoutePart,
  path: Path,
  { interfaces }: ConfigurationParts,
  connected: readonly ConnectedNetwork[],
  { faults }: CheckResult,
): void {
  if (route.via === undefined && route.interface === undefined) {
    const suggestion = 'add via: with the address of the router';
    faults.push({ path, message: 'a route needs via or interface', suggestion });
    return;
  }
  const names = interfaces.map(({ name }) => name as string);
  if (route.interface !== undefined && !names.includes(route.interface)) {
    const near = nearestWord(route.interface, names);
    const suggestion = near === undefined ? `known: ${names.join(', ')}` : `did you mean ${near}?`;
    const message = `there is no interface '${route.interface}' in this file`;
    faults.push({ path: [...path, 'interface'], message, suggestion });
    return;
  }
  if (route.via === undefined) return;
  const via = parseIpv4(route.via) as number;
  const networks = connected.filter((network) => networkContains(network, via));
  const own = networks.find(({ address }) => address === via);
  if (own !== undefined) {
    const message = `${route.via} is the own address of ${own.interfaceName}, not of a router`;
    faults.push({ path: [...path, 'via'], message, suggestion: '' });
  } else if (networks.length === 0) {
    const message = `${route.via} is on no connected network`;
    const suggestion = `connected: ${connected.map(({ text }) => text).join(', ')}`;
    faults.push({ path: [...path, 'via'], message, suggestion });
  } else if (
    route.interface !== undefined &&
    !networks.some(({ interfaceName }) => interfaceName === route.interface)
  ) {
    const message = `${route.via} is on the network of ${networks[0].interfaceName}, not of ${route.interface}`;
    const suggestion = 'leave interface out: via says enough';
    faults.push({ path: [...path, 'via'], message, suggestion });
  }
}

function checkBackends(
  service: ServicePart,
  path: Path,
  connected: readonly ConnectedNetwork[],
  routed: readonly Ipv4Network[],
  { faults }: CheckResult,
): void {
  service.backends.forEach((backend, index) => {
    if (backend.address === undefined) return;
    const address = parseIpv4(backend.address) as number;
    const at = [...path, 'backends', index, 'address'];
    if (connected.some((network) => networkContains(network, address))) return;
    if (service.forwarding === 'dsr') {
      const message = `${backend.address} is on no connected network: dsr only rewrites the MAC address`;
      const suggestion = 'connect its network to an interface, or use forwarding: nat';
      faults.push({ path: at, message, suggestion });
      return;
    }
    if (routed.some((network) => networkContains(network, address))) return;
    const message = `no connected network and no route leads to ${backend.address}`;
    const suggestion = 'add a route, or an interface in its network';
    faults.push({ path: at, message, suggestion });
  });
}
