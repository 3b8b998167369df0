// Checks of the control host by an interface of the kernel's (`via: interface`): that no key of the other way
// stands there, that the real address is where its packets can be told from others', and that neither
// address is anybody else's. What is done with them: switching/control-interface-stage.ts.
//
// A virtual address may be a service's: then what the service does not claim is the control host's.

import type { Path } from './faults.ts';
import {
  type Ipv4Network,
  isTextFault,
  networkContains,
  parseInterfaceAddress,
  parseIpv4,
  prefixMask,
} from './ipv4-text.ts';
import type { CheckResult, ConfigurationParts, ControlPart } from './parts.ts';
import { controlShape } from './schema-control.ts';

const KEYS_OF_DEVICE = ['addresses', 'device', 'namespace', 'mtu', 'routes'];

interface Connected extends Ipv4Network {
  readonly text: string;
  readonly name: string;
}

/** Adds what is wrong with the way by which the control host is reached, and with its pairs. */
export function controlInterfaceChecks(parts: ConfigurationParts, result: CheckResult): void {
  const { control } = parts;
  if (control?.via === undefined) return;
  keysOfWay(control, result);
  if (control.via !== 'interface') return;
  const connected = connectedNetworks(parts);
  twice(control, result);
  control.pairs.forEach(({ virtual, real }, index) => {
    const path = ['control', 'pairs', index];
    if (virtual !== undefined) virtualAddress(virtual, [...path, 'virtual'], parts, result);
    if (real !== undefined) realAddress(real, [...path, 'real'], parts, connected, result);
    for (const [key, text] of Object.entries({ virtual, real })) {
      if (text !== undefined) edge(text, [...path, key], connected, result);
      if (text !== undefined) ofOthers(text, [...path, key], parts, connected, result);
    }
  });
  sharedInterfaces(parts, result);
  secondDelivery(parts, result);
}

function keysOfWay({ via, keys }: ControlPart, { faults }: CheckResult): void {
  const isInterface = via === 'interface';
  const needed = isInterface ? 'pairs' : 'addresses';
  const foreign = isInterface ? KEYS_OF_DEVICE : ['pairs'];
  for (const key of keys) {
    if (!foreign.includes(key)) continue;
    const message = `${key} goes only with via: ${isInterface ? 'device' : 'interface'}`;
    const suggestion = isInterface ? 'remove it' : 'add via: interface';
    faults.push({ path: ['control', key], message, suggestion });
  }
  // A key that is not known may be meant for the one that is missing.
  if (keys.includes(needed) || keys.some((key) => !Object.hasOwn(controlShape, key))) return;
  const example = isInterface ? '[{ virtual: 10.1.0.9, real: 10.2.0.9 }]' : '[10.1.0.9/24]';
  const suggestion = `add it as in ${needed}: ${example}`;
  faults.push({ path: ['control', needed], message: `${needed} is missing`, suggestion });
}

function connectedNetworks({ interfaces }: ConfigurationParts): Connected[] {
  return interfaces.flatMap(({ name = 'an interface', addresses }) =>
    addresses.flatMap((text) => {
      const network = text === undefined ? undefined : parseInterfaceAddress(text);
      if (text === undefined || network === undefined || isTextFault(network)) return [];
      return [{ ...network, text, name }];
    }),
  );
}

function twice({ pairs }: ControlPart, { faults }: CheckResult): void {
  const seen = new Set<string>();
  pairs.forEach((pair, index) => {
    for (const key of ['virtual', 'real'] as const) {
      const text = pair[key];
      if (text === undefined) continue;
      if (seen.has(text)) {
        const message = `${text} stands in the pairs twice`;
        const suggestion = 'give each real address one virtual address, and no other';
        faults.push({ path: ['control', 'pairs', index, key], message, suggestion });
      }
      seen.add(text);
    }
  });
}

function virtualAddress(
  text: string,
  path: Path,
  { services, routes }: ConfigurationParts,
  { faults }: CheckResult,
): void {
  services.forEach(({ name, backends }, service) => {
    backends.forEach((backend, index) => {
      if (backend.address !== text) return;
      const message = `${text} is a virtual address of the control host: ${name ?? 'the service'} needs its real one`;
      const at = ['services', service, 'backends', index, 'address'];
      faults.push({ path: at, message, suggestion: "write the pair's real address" });
    });
  });
  if (!routes.some(({ via }) => via === text)) return;
  faults.push({ path, message: `${text} is a router in routes`, suggestion: 'take another one' });
}

function realAddress(
  text: string,
  path: Path,
  { services, interfaces }: ConfigurationParts,
  connected: readonly Connected[],
  { faults }: CheckResult,
): void {
  const service = services.find(({ address }) => address === text);
  if (service !== undefined) {
    const message = `${text} is the address of service ${service.name ?? ''}, which weir answers for`;
    faults.push({ path, message, suggestion: "write the address of the kernel's interface" });
  }
  const address = parseIpv4(text) as number;
  const isKnown = interfaces.every(({ addresses }) => !addresses.includes(undefined));
  if (!isKnown || connected.some((network) => networkContains(network, address))) return;
  const message = `${text} is on no network of weir's interfaces`;
  const suggestion = `connected: ${connected.map((each) => each.text).join(', ')}`;
  faults.push({ path, message, suggestion });
}

/** RFC 1122 §3.2.1.3; networks of two addresses have neither (RFC 3021). */
function edge(
  text: string,
  path: Path,
  connected: readonly Connected[],
  { faults }: CheckResult,
): void {
  const address = parseIpv4(text) as number;
  for (const network of connected) {
    if (network.prefixLength >= 31 || !networkContains(network, address)) continue;
    const hostBits = ~prefixMask(network.prefixLength);
    const host = address & hostBits;
    if (host !== 0 && host !== hostBits) continue;
    const kind = host === 0 ? 'the network address' : 'the broadcast address';
    const message = `${text} is ${kind} of ${network.text}, not the address of a host`;
    faults.push({ path, message, suggestion: '' });
    return;
  }
}

function ofOthers(
  text: string,
  path: Path,
  { forwarding, applications }: ConfigurationParts,
  connected: readonly Connected[],
  { faults }: CheckResult,
): void {
  const own = connected.find(({ address }) => address === parseIpv4(text));
  const fault = (message: string): void => {
    faults.push({ path, message, suggestion: 'take an address that nobody else has' });
  };
  if (own !== undefined) fault(`${text} is weir's own address on ${own.name}`);
  if (forwarding.some(({ source }) => source === text)) {
    fault(`${text} is the source of translated connections in forwarding`);
  }
  const application = applications.find(({ addresses }) => addresses?.includes(text));
  if (application !== undefined) {
    fault(`${text} is an address of application ${application.name ?? ''}`);
  }
}

/** Of a shared interface weir gets what it has claimed by address: not what the control host sends. */
function sharedInterfaces({ interfaces }: ConfigurationParts, { faults }: CheckResult): void {
  const shared = interfaces.find(({ mode }) => mode === 'shared');
  if (shared === undefined) return;
  const message = `via: interface does not go with ${shared.name ?? 'an interface'}, which is mode: shared`;
  const suggestion = "on a shared interface the kernel's programs are reached without weir";
  faults.push({ path: ['control', 'via'], message, suggestion });
}

/** With packet rings the kernel has a copy of each frame, and takes what is for an address of its own. */
function secondDelivery({ interfaces }: ConfigurationParts, { warnings }: CheckResult): void {
  const copied = interfaces.find(({ kind }) => kind === 'af-packet');
  if (copied === undefined) return;
  const name = copied.name ?? 'an interface';
  const message = `with af-packet the kernel also gets the frames of ${name}, and answers there for its real addresses`;
  const suggestion =
    'set net.ipv4.conf.all.arp_ignore=1, and drop in the kernel what comes in there';
  warnings.push({ path: ['control', 'pairs'], message, suggestion });
}
