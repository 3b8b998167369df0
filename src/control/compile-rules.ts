// From the rules of a service (choice by content, C6 of the seeds) to what the configuration table holds: the
// conditions in words and masks, and the pools of backends that they choose among. Rules with the same backends
// share a pool.

import { prefixMask } from '../tables/routing-builder.ts';
import type { PoolInput, RuleInput } from '../tables/rule-writer.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { type RulePool, rulePools } from './config/pools.ts';
import type { ServiceConfiguration } from './config/schema.ts';
import type { RuleConfiguration } from './config/schema-rules.ts';
import type { PoolMember, SelectionTables } from './selection-tables.ts';

/** A network as address and mask. */
export function compileNetwork(text: string): { network: number; mask: number } {
  if (text === 'default') return { network: 0, mask: 0 };
  const [address, length] = text.split('/');
  const mask = prefixMask(Number(length));
  return { network: parseAddress(address) & mask, mask };
}

/**
 * The rules and pools of a service.
 * @param members all of the service's backends, in their order, with the weights in force
 */
export function compileRules(
  service: ServiceConfiguration,
  members: readonly PoolMember[],
  tables: SelectionTables,
): { pools: PoolInput[]; rules: RuleInput[] } {
  const pools: PoolInput[] = [];
  const numbers = new Map<RulePool, number>();
  const wanted = rulePools(service);
  const rules = service.rules.map((rule, n): RuleInput => {
    const pool = wanted[n];
    const chosen = pool.places.map((place) => members[place]);
    const isOpen = chosen.some(({ weight }) => weight > 0);
    if (!isOpen && rule.otherwise === 'any') return { ...conditions(rule), pool: 0 };
    let number = numbers.get(pool);
    if (number === undefined) {
      const selection = tables.table(`${service.name}/${pool.key}`, service.scheduler, chosen);
      number = pools.push({ selection, backends: chosen.map(({ id }) => id) });
      numbers.set(pool, number);
    }
    return { ...conditions(rule), pool: number };
  });
  return { pools, rules };
}

function conditions(rule: RuleConfiguration): Omit<RuleInput, 'pool'> {
  const { clients, dscp, vlan, payload } = rule;
  const ports = rule['client-ports']?.split('-').map(Number);
  const value = payload === undefined ? undefined : Buffer.from(payload.value, 'hex');
  return {
    ...(clients && { clients: clients.map(compileNetwork) }),
    ...(ports && { clientPorts: { from: ports[0], to: ports[1] ?? ports[0] } }),
    ...(dscp && { dscp }),
    ...(vlan !== undefined && { vlan }),
    ...(payload &&
      value && {
        payload: {
          offset: payload.offset,
          value: new Uint8Array(value),
          mask:
            payload.mask === undefined
              ? new Uint8Array(value.length).fill(0xff)
              : new Uint8Array(Buffer.from(payload.mask, 'hex')),
        },
      }),
  };
}
