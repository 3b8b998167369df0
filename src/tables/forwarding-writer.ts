// Writes what is forwarded without a service into the standby buffer of the configuration table: part of
// configuration-writer.ts, which calls it. Readers: forwarding-table.ts; byte map: configuration-layout.ts.
// Invariant: each pair of interfaces has one rule at the most, the last that names it.

import { assert } from '../base/assert.ts';
import { MAX_INTERFACES } from '../memory/layout.ts';
import * as table from './configuration-layout.ts';

/** What is forwarded from one interface to another though no service claims it. */
export interface ForwardingInput {
  /** Interface numbers. */
  readonly from: number;
  readonly to: number;
  /** The address that sources are translated to, as int32; 0: they are kept. */
  readonly source: number;
  readonly firstPort: number;
  readonly portCount: number;
}

/** Service and backend under whose numbers connections with a translated source count. */
export interface SourceNatIds {
  readonly service: number;
  readonly backend: number;
}

interface ForwardingTableInput {
  readonly forwarding?: readonly ForwardingInput[];
  readonly sourceNatIds?: SourceNatIds | undefined;
  readonly icmpErrorsPerSecond?: number;
}

/** Writes pairs, rules, and what belongs to them in the header, into a buffer that is zero there. */
export function writeForwarding(
  words: Int32Array,
  base: number,
  input: ForwardingTableInput,
): void {
  const { forwarding = [], sourceNatIds } = input;
  words[base + table.CONFIGURATION_ICMP_ERRORS_PER_SECOND] = input.icmpErrorsPerSecond ?? 0;
  forwarding.forEach(({ from, to, source, firstPort, portCount }, number) => {
    assert(from < MAX_INTERFACES && to < MAX_INTERFACES, `forwarding from ${from} to ${to}`);
    words[base + table.FORWARDING_PAIRS + from * MAX_INTERFACES + to] = number + 1;
    words[base + table.CONFIGURATION_FORWARDING_FROM + (from >> 5)] |= 1 << (from & 31);
    const rule = base + table.FORWARDING_RULES + number * table.FORWARDING_WORDS;
    words[rule + table.FORWARDING_SOURCE] = source;
    words[rule + table.FORWARDING_FIRST_PORT] = firstPort;
    words[rule + table.FORWARDING_PORT_COUNT] = portCount;
  });
  if (sourceNatIds === undefined) return;
  words[base + table.CONFIGURATION_SOURCE_NAT_SERVICE] = sourceNatIds.service + 1;
  words[base + table.CONFIGURATION_SOURCE_NAT_BACKEND] = sourceNatIds.backend + 1;
}
