// Checks of the control host's device against the rest of a configuration: that it does not bear the name
// of an interface, that no address of it exists twice, belongs to no host or to a router, and that the kernel
// does not get its packets a second time.
//
// An address may be one of an interface's own or of a service: then what no service claims is the host's. By
// an interface of the kernel's instead of a device: control-interface-checks.ts.

import {
  type Ipv4Network,
  isTextFault,
  networkContains,
  parseInterfaceAddress,
  parseIpv4,
  prefixMask,
} from './ipv4-text.ts';
import type { CheckResult, ConfigurationParts } from './parts.ts';

/** Adds what is wrong with the control host to `result`. */
export function controlChecks(parts: ConfigurationParts, result: CheckResult): void {
  const { control, interfaces } = parts;
  if (control?.via !== 'device') return;
  if (interfaces.some(({ name }) => name !== undefined && name === control.device)) {
    const message = `${control.device} is the name of an interface: weir makes the device itself`;
    result.faults.push({
      path: ['control', 'device'],
      message,
      suggestion: 'give it another name',
    });
  }
  addressChecks(parts, result);
  gateways(parts, result);
  secondDelivery(parts, result);
}

/** Packets by that route would go to the programs here, which are no router. */
function gateways({ control, routes }: ConfigurationParts, { faults }: CheckResult): void {
  const own = (control?.addresses ?? []).flatMap(networkOf).map(({ address }) => address);
  routes.forEach(({ via, to }, index) => {
    if (via === undefined || !own.includes(parseIpv4(via) as number)) return;
    const message = `${via}, by which ${to} is reached, is an address of the control host`;
    const suggestion = 'name the router there, or give the control host another address';
    faults.push({ path: ['routes', index, 'via'], message, suggestion });
  });
}

function addressChecks({ control, interfaces }: ConfigurationParts, { faults }: CheckResult): void {
  const networks = interfaces.flatMap(({ addresses }) => addresses.flatMap(networkOf));
  const seen = new Set<number>();
  control?.addresses.forEach((text, index) => {
    const path = ['control', 'addresses', index];
    for (const own of networkOf(text)) {
      if (seen.has(own.address)) {
        faults.push({ path, message: `${text} stands here twice`, suggestion: 'remove one' });
      }
      seen.add(own.address);
      for (const network of [...networks, own]) {
        const kind = edgeKind(network, own.address);
        if (kind === '') continue;
        const message = `${text} is ${kind} of its network, not the address of a host`;
        faults.push({ path, message, suggestion: '' });
        break;
      }
    }
  });
}

function networkOf(text: string | undefined): Ipv4Network[] {
  const parsed = text === undefined ? undefined : parseInterfaceAddress(text);
  return parsed === undefined || isTextFault(parsed) ? [] : [parsed];
}

/** RFC 1122 §3.2.1.3; networks of two addresses have neither (RFC 3021). */
function edgeKind(network: Ipv4Network, address: number): string {
  if (network.prefixLength >= 31 || !networkContains(network, address)) return '';
  const hostBits = ~prefixMask(network.prefixLength);
  if ((address & hostBits) === 0) return 'the network address';
  return (address & hostBits) === hostBits ? 'the broadcast address' : '';
}

/** With packet rings the kernel has a copy of each frame, and answers for addresses that it knows. */
function secondDelivery(
  { control, interfaces }: ConfigurationParts,
  { warnings }: CheckResult,
): void {
  if (control?.namespace !== undefined) return;
  const shared = interfaces.find(({ kind }) => kind === 'af-packet');
  if (shared === undefined) return;
  const name = shared.name ?? 'an interface';
  const message = `with af-packet the kernel also gets the frames of ${name} and answers beside weir`;
  const suggestion = 'put the device into a namespace of its own: namespace: NAME';
  warnings.push({ path: ['control', 'addresses'], message, suggestion });
}
