// What is forwarded without a service, from the configuration to what its table holds; and under which number
// connections with a translated source count, which must be one of a service and a backend that no name of
// the file can have. Pure.

import type { ForwardingInput, OwnAddressInput } from '../tables/configuration-writer.ts';
import { parseAddress } from '../wire/ipv4.ts';
import type { Configuration } from './config/schema.ts';

/** The name, of a service and of its backend, under which they have their numbers. */
export const SOURCE_NAT_NAME = '(source-nat)';

/** Whether any source is translated. */
export function hasSourceNat({ forwarding }: Configuration): boolean {
  return forwarding.some(({ source }) => source !== undefined);
}

export function compileForwarding({ forwarding, interfaces }: Configuration): ForwardingInput[] {
  const numberOf = (name: string) => interfaces.findIndex((each) => each.name === name);
  return forwarding.map(({ from, to, source, 'source-ports': range }) => {
    const [first, last] = range.split('-').map(Number);
    return {
      from: numberOf(from),
      to: numberOf(to),
      source: source === undefined ? 0 : parseAddress(source),
      firstPort: first,
      portCount: last - first + 1,
    };
  });
}

/** Addresses that sources are translated to are answered for where the packets leave. */
export function answeredForSources(configuration: Configuration): OwnAddressInput[] {
  return compileForwarding(configuration)
    .filter(({ source }) => source !== 0)
    .map(({ source, to }) => ({ address: source, interfaceNumber: to }));
}
