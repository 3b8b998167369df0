// What one value of a configuration says about another: names and services that exist twice, a
// service that would send to itself, weights that let nobody in. Networks and their reachability are
// in network-checks.ts, health, load and rules in service-checks.ts, processors and memory in
// processor-checks.ts.
//
// A fault makes the configuration unusable; a warning is about something that works, but hardly as
// meant. Pure: what is known of the machine is a parameter.

import { applicationChecks } from './application-checks.ts';
import { capacityChecks } from './capacity-checks.ts';
import { controlChecks } from './control-checks.ts';
import { controlInterfaceChecks } from './control-interface-checks.ts';
import type { Path } from './faults.ts';
import { forwardingChecks } from './forwarding-checks.ts';
import { parseIpv4 } from './ipv4-text.ts';
import { networkChecks } from './network-checks.ts';
import type {
  AvailableCpus,
  BackendPart,
  CheckResult,
  ConfigurationParts,
  ServicePart,
} from './parts.ts';
import { processorChecks } from './processor-checks.ts';
import { serviceChecks } from './service-checks.ts';
import { sharedChecks } from './shared-checks.ts';

/**
 * All checks across values.
 *
 * @param availableCpus CPUs that can be used; Infinity when not known
 */
export function crossChecks(parts: ConfigurationParts, availableCpus: AvailableCpus): CheckResult {
  const result: CheckResult = { faults: [], warnings: [] };
  duplicateNames(parts.interfaces, ['interfaces'], 'interface', result);
  duplicateNames(parts.services, ['services'], 'service', result);
  duplicateNames(parts.applications, ['applications'], 'application', result);
  duplicateServices(parts, result);
  const serviceAddresses = addressesOfServices(parts);
  parts.services.forEach((service, index) => {
    const path = ['services', index];
    duplicateNames(service.backends, [...path, 'backends'], 'backend', result);
    duplicateBackends(service, path, result);
    loops(service, path, serviceAddresses, result);
    portsOfDirectReturn(service, path, result);
    weights(service, path, result);
  });
  sharedBackends(parts, result);
  serviceChecks(parts, result);
  applicationChecks(parts, result);
  capacityChecks(parts, result);
  networkChecks(parts, result);
  forwardingChecks(parts, result);
  controlChecks(parts, result);
  controlInterfaceChecks(parts, result);
  sharedChecks(parts, result);
  processorChecks(parts, availableCpus, result);
  return result;
}

function duplicateNames(
  items: readonly { name: string | undefined }[],
  path: Path,
  kind: string,
  { faults }: CheckResult,
): void {
  const first = new Map<string, number>();
  items.forEach((item, index) => {
    if (item.name === undefined) return;
    const earlier = first.get(item.name);
    if (earlier === undefined) {
      first.set(item.name, index);
      return;
    }
    const message = `${kind} ${item.name} exists twice (also entry ${earlier + 1} of the list)`;
    faults.push({ path: [...path, index, 'name'], message, suggestion: 'give it another name' });
  });
}

function duplicateServices({ services }: ConfigurationParts, { faults }: CheckResult): void {
  const first = new Map<string, string>();
  services.forEach((service, index) => {
    const { address, protocol, port } = service;
    if (address === undefined || protocol === undefined || port === undefined) return;
    const key = `${protocol} ${address}:${port}`;
    const earlier = first.get(key);
    if (earlier === undefined) {
      first.set(key, nameOf(service, index));
      return;
    }
    const message = `${nameOf(service, index)} and ${earlier} are both ${key}`;
    const suggestion = 'change address, protocol or port, or put the backends into one service';
    faults.push({ path: ['services', index, 'port'], message, suggestion });
  });
}

function nameOf({ name }: { name: string | undefined }, index: number): string {
  return name ?? `entry ${index + 1} of the list`;
}

/** address:port of a backend; without a port of its own it has the service's. */
function endPoint(service: ServicePart, backend: BackendPart): string | undefined {
  if (backend.address === undefined || (backend.port ?? service.port) === undefined)
    return undefined;
  return `${backend.address}:${backend.port ?? service.port}`;
}

function duplicateBackends(service: ServicePart, path: Path, { faults }: CheckResult): void {
  const first = new Map<string, string>();
  service.backends.forEach((backend, index) => {
    const key = endPoint(service, backend);
    if (key === undefined) return;
    const earlier = first.get(key);
    if (earlier === undefined) {
      first.set(key, nameOf(backend, index));
      return;
    }
    const message = `${nameOf(backend, index)} and ${earlier} are both ${key}`;
    const suggestion = 'keep one, and give it the sum of the weights';
    faults.push({ path: [...path, 'backends', index, 'address'], message, suggestion });
  });
}

function addressesOfServices({ services }: ConfigurationParts): Map<number, string> {
  const addresses = new Map<number, string>();
  services.forEach((service, index) => {
    if (service.address === undefined) return;
    addresses.set(parseIpv4(service.address) as number, nameOf(service, index));
  });
  return addresses;
}

function loops(
  service: ServicePart,
  path: Path,
  serviceAddresses: ReadonlyMap<number, string>,
  { faults }: CheckResult,
): void {
  service.backends.forEach((backend, index) => {
    if (backend.address === undefined) return;
    const owner = serviceAddresses.get(parseIpv4(backend.address) as number);
    if (owner === undefined) return;
    const message = `${backend.address} is the address of service ${owner}: packets would loop`;
    const suggestion = "write the server's own address";
    faults.push({ path: [...path, 'backends', index, 'address'], message, suggestion });
  });
}

function portsOfDirectReturn(service: ServicePart, path: Path, { faults }: CheckResult): void {
  if (service.forwarding !== 'dsr' || service.port === undefined) return;
  service.backends.forEach((backend, index) => {
    if (backend.port === undefined || backend.port === service.port) return;
    const message = `port ${backend.port}: with dsr no port is rewritten`;
    const suggestion = `leave port out or write ${service.port}, or use forwarding: nat`;
    faults.push({ path: [...path, 'backends', index, 'port'], message, suggestion });
  });
}

function weights(service: ServicePart, path: Path, { warnings }: CheckResult): void {
  const { backends } = service;
  if (backends.length === 0 || backends.some((backend) => backend.weight !== 0)) return;
  const message = `all weights are 0: the service takes no new connections`;
  const suggestion = 'give one backend a weight of 1 or more';
  warnings.push({ path: [...path, 'backends'], message, suggestion });
}

/**
 * Replies are told apart by the backend's address and port and the client's: two services that
 * rewrite towards one end point cannot both serve a client that uses one port for both.
 */
function sharedBackends({ services }: ConfigurationParts, { warnings }: CheckResult): void {
  const first = new Map<string, { service: string; index: number }>();
  services.forEach((service, serviceIndex) => {
    if (service.protocol === undefined || service.forwarding !== 'nat') return;
    service.backends.forEach((backend, index) => {
      const address = endPoint(service, backend);
      if (address === undefined) return;
      const key = `${service.protocol} ${address}`;
      const earlier = first.get(key);
      if (earlier === undefined) {
        first.set(key, { service: nameOf(service, serviceIndex), index: serviceIndex });
        return;
      }
      if (earlier.index === serviceIndex) return;
      const message = `${key} is also a backend of ${earlier.service}: a client that uses the same port for both is refused`;
      const suggestion = 'let the server listen on a port of its own for each service';
      const path = ['services', serviceIndex, 'backends', index, 'address'];
      warnings.push({ path, message, suggestion });
    });
  });
}
