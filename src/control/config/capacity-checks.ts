// Checks of a configuration against what main memory's tables hold. Without them a file would be good
// for `weir check` and refused by the control processor once weir runs; more interfaces than there are
// places for would even be written over what stands behind them.
//
// Invariant: what passes here fits into the configuration table, whatever weights the master gives, and its own
// routes into the routing table.

import { CONTROL_INTERFACE, MAX_BACKENDS, MAX_SERVICES } from '../../memory/layout.ts';
import {
  MAX_ADDRESSES_PER_INTERFACE,
  MAX_OWN_ADDRESSES,
  SELECTION_POOL_CAPACITY,
} from '../../tables/configuration-table.ts';
import { MAX_NEXT_HOPS } from '../../tables/routing-table.ts';
import type { Path } from './faults.ts';
import type { CheckResult, ConfigurationParts } from './parts.ts';
import { leastPositions, poolSizes } from './pools.ts';

/** One per interface, the control host, and each kind of refusal. */
const OTHER_NEXT_HOPS = CONTROL_INTERFACE + 4;

/** Adds a fault for everything that there is too much of. */
export function capacityChecks(parts: ConfigurationParts, { faults }: CheckResult): void {
  const limit = (path: Path, what: string, count: number, most: number, advice: string): void => {
    if (count <= most) return;
    faults.push({ path, message: `${count} ${what}: at most ${most}`, suggestion: advice });
  };
  const { interfaces, services } = parts;
  limit(['interfaces'], 'interfaces', interfaces.length, CONTROL_INTERFACE, '');
  const addresses = new Set<string | undefined>();
  interfaces.forEach((item, index) => {
    const path = ['interfaces', index, 'addresses'];
    limit(path, 'addresses', item.addresses.length, MAX_ADDRESSES_PER_INTERFACE, '');
    for (const address of item.addresses) addresses.add(address?.split('/')[0]);
  });
  for (const { address } of services) addresses.add(address);
  for (const address of parts.control?.addresses ?? []) addresses.add(address?.split('/')[0]);
  for (const { virtual } of parts.control?.pairs ?? []) addresses.add(virtual);
  const share = 'let several services share an address';
  limit(['services'], 'services', services.length, MAX_SERVICES, '');
  limit(['services'], 'own addresses', addresses.size, MAX_OWN_ADDRESSES, share);
  let backends = 0;
  let positions = 0;
  for (const service of services) {
    backends += service.backends.length;
    for (const pool of poolSizes(service)) positions += leastPositions(pool);
  }
  limit(['services'], 'backends of all services', backends, MAX_BACKENDS, '');
  const fewer = 'use maglev and source-hash for fewer services, or fewer rules';
  limit(['services'], 'positions of selection tables', positions, SELECTION_POOL_CAPACITY, fewer);
  const gateways = new Set(parts.routes.map(({ via, interface: name }) => `${via} ${name}`));
  limit(['routes'], 'gateways', gateways.size, MAX_NEXT_HOPS - OTHER_NEXT_HOPS, '');
}
