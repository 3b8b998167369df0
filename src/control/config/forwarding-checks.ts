// Checks of what is forwarded without a service: that the interfaces are there, that no pair is named
// twice, that a translated source can be answered to, and that the range of its ports is one.
// What is forwarded and how: switching/forwarding-stage.ts.

import { MAX_FORWARDING } from '../../tables/configuration-table.ts';
import type { Path } from './faults.ts';
import {
  isTextFault,
  networkContains,
  parseInterfaceAddress,
  parseIpv4,
  prefixMask,
} from './ipv4-text.ts';
import { nearestWord } from './nearest-word.ts';
import type { CheckResult, ConfigurationParts } from './parts.ts';

type ForwardingPart = ConfigurationParts['forwarding'][number];

/** Adds what is wrong with the forwarding to `result`. */
export function forwardingChecks(parts: ConfigurationParts, result: CheckResult): void {
  const first = new Map<string, number>();
  if (parts.forwarding.length > MAX_FORWARDING) {
    const message = `${parts.forwarding.length} pairs: at most ${MAX_FORWARDING}`;
    result.faults.push({ path: ['forwarding'], message, suggestion: '' });
  }
  parts.forwarding.forEach((pair, index) => {
    const path = ['forwarding', index];
    const { from, to } = pair;
    knownInterface(from, [...path, 'from'], parts, result);
    knownInterface(to, [...path, 'to'], parts, result);
    ports(pair, path, result);
    source(pair, path, parts, result);
    if (from === undefined || to === undefined) return;
    const earlier = first.get(`${from} ${to}`);
    if (earlier === undefined) first.set(`${from} ${to}`, index);
    else {
      const message = `from ${from} to ${to} exists twice (also entry ${earlier + 1} of the list)`;
      result.faults.push({ path, message, suggestion: 'keep one of the two' });
    }
  });
}

function knownInterface(
  name: string | undefined,
  path: Path,
  { interfaces }: ConfigurationParts,
  { faults }: CheckResult,
): void {
  const names = interfaces.flatMap((each) => each.name ?? []);
  // An interface whose name is a fault may be the one that is meant.
  if (name === undefined || names.includes(name) || names.length < interfaces.length) return;
  const near = nearestWord(name, names);
  const suggestion = near === undefined ? `known: ${names.join(', ')}` : `did you mean ${near}?`;
  faults.push({ path, message: `there is no interface '${name}' in this file`, suggestion });
}

function ports({ 'source-ports': range }: ForwardingPart, path: Path, result: CheckResult): void {
  if (range === undefined) return;
  const [first, last] = range.split('-').map(Number);
  if (first >= 1 && last <= 65_535 && first <= last) return;
  const message = `${range} is no range of ports`;
  const suggestion = 'write the lower one first, both from 1 to 65535';
  result.faults.push({ path: [...path, 'source-ports'], message, suggestion });
}

/** Replies to the address must come to us: it is ours, or of a network where we answer for it. */
function source(
  { source: text, to }: ForwardingPart,
  path: Path,
  { interfaces, control }: ConfigurationParts,
  { faults, warnings }: CheckResult,
): void {
  if (control?.addresses.some((each) => each?.split('/')[0] === text) && text !== undefined) {
    const message = `${text} is the control host's too: of ports that both use, replies go to either`;
    const suggestion = 'keep source-ports apart from its net.ipv4.ip_local_port_range';
    warnings.push({ path: [...path, 'source'], message, suggestion });
  }
  const way = interfaces.find(({ name }) => name === to);
  if (text === undefined || way === undefined) return;
  const address = parseIpv4(text) as number;
  const networks = way.addresses.flatMap((each) => {
    const network = each === undefined ? [] : parseInterfaceAddress(each);
    return isTextFault(network) ? [] : network;
  });
  const on = networks.find((network) => networkContains(network, address));
  if (on === undefined) {
    const message = `${text} is on no network of ${to}: its routers must send packets for it to us`;
    const suggestion = `routers there need a route to ${text} by way of weir`;
    warnings.push({ path: [...path, 'source'], message, suggestion });
    return;
  }
  const host = address & ~prefixMask(on.prefixLength);
  const isEdge = on.prefixLength < 31 && (host === 0 || host === ~prefixMask(on.prefixLength));
  if (!isEdge) return;
  const message = `${text} is no address of a host`;
  faults.push({ path: [...path, 'source'], message, suggestion: '' });
}
