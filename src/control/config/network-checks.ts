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
  prefixMask,
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
  hostAddresses(parts, connected, result);
  parts.routes.forEach((route, index) => {
    checkWayOut(route, ['routes', index], parts, result);
  });
  const known = parts.interfaces.every(
    ({ name, addresses }) =>
      name !== undefined && addresses.length > 0 && !addresses.includes(undefined),
  );
  if (!known || parts.interfaces.length === 0) return;
  parts.routes.forEach((route, index) => {
    checkRouter(route, ['routes', index], connected, result);
  });
  if (parts.routes.some(({ to }) => to === undefined)) return;
  const routed = parts.routes
    .filter(({ type }) => type === undefined)
    .map((route) => parseIpv4Network(route.to as string) as Ipv4Network);
  routed.push(...controlHost(parts));
  parts.services.forEach((service, index) => {
    checkBackends(service, ['services', index], parts, connected, routed, result);
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
  { services, interfaces }: ConfigurationParts,
  connected: readonly ConnectedNetwork[],
  { warnings }: CheckResult,
): void {
  services.forEach((service, index) => {
    if (service.address === undefined) return;
    const address = parseIpv4(service.address);
    const own = connected.find((network) => network.address === address);
    // On a shared interface that is how a host gives weir single ports of its only address.
    if (own === undefined || interfaces[own.interfaceIndex].mode === 'shared') return;
    const message = `${service.address} is also the own address of ${own.interfaceName}`;
    const suggestion = 'an address of its own lets the service move to another machine';
    warnings.push({ path: ['services', index, 'address'], message, suggestion });
  });
}

/** Addresses that no router, server or service can have: those of networks, broadcasts, weir's own. */
function hostAddresses(
  { routes, services }: ConfigurationParts,
  connected: readonly ConnectedNetwork[],
  { faults }: CheckResult,
): void {
  const check = (text: string | undefined, path: Path): void => {
    if (text === undefined) return;
    const address = parseIpv4(text) as number;
    for (const network of connected) {
      const kind = edgeKind(network, address);
      if (kind === '') continue;
      const message = `${text} is ${kind} of ${network.text}, not the address of a host`;
      faults.push({ path, message, suggestion: '' });
      return;
    }
  };
  routes.forEach(({ via }, index) => {
    check(via, ['routes', index, 'via']);
  });
  services.forEach((service, index) => {
    check(service.address, ['services', index, 'address']);
    service.backends.forEach((backend, at) => {
      check(backend.address, ['services', index, 'backends', at, 'address']);
    });
  });
}

/** What an address is that belongs to a connected network but to no host in it (RFC 1122); '' if not. */
function edgeKind(network: ConnectedNetwork, address: number): string {
  // RFC 3021: networks of two addresses have none.
  if (network.prefixLength >= 31 || !networkContains(network, address)) return '';
  const hostBits = ~prefixMask(network.prefixLength);
  if ((address & hostBits) === 0) return 'the network address';
  return (address & hostBits) === hostBits ? 'the broadcast address' : '';
}

/** Whether a route leads anywhere; of its router, `checkRouter` judges. */
function checkWayOut(
  route: RoutePart,
  path: Path,
  { interfaces }: ConfigurationParts,
  { faults }: CheckResult,
): void {
  if (route.type !== undefined) {
    if (route.via === undefined && route.interface === undefined) return;
    const suggestion = 'leave type out, or via and interface';
    faults.push({ path, message: `${route.type} goes with neither via nor interface`, suggestion });
    return;
  }
  if (route.via === undefined && route.interface === undefined) {
    const suggestion = 'add via: with the address of the router';
    faults.push({ path, message: 'a route needs via, interface or type', suggestion });
    return;
  }
  const names = interfaces.flatMap(({ name }) => name ?? []);
  // An interface whose name is a fault may be the one that is meant.
  if (names.length < interfaces.length || names.length === 0) return;
  if (route.interface !== undefined && !names.includes(route.interface)) {
    const near = nearestWord(route.interface, names);
    const suggestion = near === undefined ? `known: ${names.join(', ')}` : `did you mean ${near}?`;
    const message = `there is no interface '${route.interface}' in this file`;
    faults.push({ path: [...path, 'interface'], message, suggestion });
  }
}

function checkRouter(
  route: RoutePart,
  path: Path,
  connected: readonly ConnectedNetwork[],
  { faults }: CheckResult,
): void {
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
    connected.some(({ interfaceName }) => interfaceName === route.interface) &&
    !networks.some(({ interfaceName }) => interfaceName === route.interface)
  ) {
    const message = `${route.via} is on the network of ${networks[0].interfaceName}, not of ${route.interface}`;
    const suggestion = 'leave interface out: via says enough';
    faults.push({ path: [...path, 'via'], message, suggestion });
  }
}

/** The machine's own programs can be backends. */
function controlHost({ control }: ConfigurationParts): Ipv4Network[] {
  return (control?.addresses ?? []).flatMap((text) => {
    const parsed = text === undefined ? undefined : parseInterfaceAddress(text);
    if (parsed === undefined || isTextFault(parsed)) return [];
    return [{ address: parsed.address, prefixLength: 32 }];
  });
}

function checkBackends(
  service: ServicePart,
  path: Path,
  parts: ConfigurationParts,
  connected: readonly ConnectedNetwork[],
  routed: readonly Ipv4Network[],
  { faults }: CheckResult,
): void {
  const { services } = parts;
  service.backends.forEach((backend, index) => {
    if (backend.address === undefined) return;
    const address = parseIpv4(backend.address) as number;
    const at = [...path, 'backends', index, 'address'];
    const networks = connected.filter((network) => networkContains(network, address));
    const own = networks.find((network) => network.address === address);
    const isOthers = (): boolean =>
      controlHost(parts).some((host) => host.address === address) ||
      services.some((each) => each.address === backend.address);
    // Asked of few: thousands of backends times thousands of services would take half a minute.
    if (own !== undefined && !isOthers()) {
      const message = `${backend.address} is the own address of ${own.interfaceName}: weir is no server`;
      faults.push({ path: at, message, suggestion: "write the server's own address" });
    }
    if (networks.length > 0) return;
    if (service.forwarding === 'dsr') {
      const message = `${backend.address} is on no connected network: dsr only rewrites the MAC address`;
      const suggestion = 'connect its network to an interface, or use forwarding: nat';
      faults.push({ path: at, message, suggestion });
      return;
    }
    if (routed.some((network) => networkContains(network, address))) return;
    // The kernel may know a way.
    if (parts.routing.follow === true) return;
    const message = `no connected network and no route leads to ${backend.address}`;
    const suggestion = 'add a route, or an interface in its network';
    faults.push({ path: at, message, suggestion });
  });
}
