// A large configuration that is another one each time: so many services with so many backends, of which
// weights and servers change with each variant while the service under load stays reachable. And what
// it costs the control processor to take one up, measured in this process: the same parser, checks and
// publisher, on main memory of its own where no switching processor has to be waited for.

import { WeirError } from '../../../src/base/errors.ts';
import { parseConfiguration } from '../../../src/control/config/parse.ts';
import { Publisher } from '../../../src/control/publisher.ts';
import { computeLayout } from '../../../src/memory/layout.ts';
import { formatMainMemory } from '../../../src/memory/region.ts';

export const BACKENDS_PER_SERVICE = 10;
/** Other services have ports from here on. */
const FIRST_OTHER_PORT = 10_000;
const WEIGHTS = 2;

export interface ManyServices {
  readonly virtualAddress: string;
  /** Of the service under load, the first one; UDP as all of them are. */
  readonly port: number;
  readonly servers: readonly string[];
  readonly count: number;
  /** Every variant differs from the one before in all services. */
  readonly variant: number;
}

export interface ManyService {
  readonly name: string;
  readonly address: string;
  readonly protocol: 'udp';
  readonly port: number;
  readonly backends: readonly {
    readonly name: string;
    readonly address: string;
    readonly port: number;
    readonly weight: number;
  }[];
}

/** The `services` of a configuration. */
export function manyServices(wanted: ManyServices): ManyService[] {
  const { virtualAddress, port, servers, count, variant } = wanted;
  return Array.from({ length: count }, (_, service) => ({
    name: `s${service}`,
    address: virtualAddress,
    protocol: 'udp',
    port: service === 0 ? port : FIRST_OTHER_PORT + service,
    backends: Array.from({ length: BACKENDS_PER_SERVICE }, (_, backend) => ({
      name: `b${backend}`,
      address: servers[(backend + variant) % servers.length],
      port: port + backend,
      weight: 1 + ((backend + service + variant) % WEIGHTS),
    })),
  }));
}

/** The same as YAML, as a person or a program would write it; a library takes seconds for it. */
export function servicesText(services: readonly ManyService[]): string {
  const lines = ['services:'];
  for (const { name, address, protocol, port, backends } of services) {
    lines.push(`  - name: ${name}`, `    address: ${address}`, `    protocol: ${protocol}`);
    lines.push(`    port: ${port}`, '    backends:');
    for (const each of backends) {
      lines.push(`      - name: ${each.name}`, `        address: ${each.address}`);
      lines.push(`        port: ${each.port}`, `        weight: ${each.weight}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

export interface CompileTimes {
  readonly parseMs: number;
  readonly publishMs: number;
}

/**
 * Takes up one text after the other, as `weir reload` would.
 * @returns one pair of times for each text
 * @throws WeirError ERR_LAB when a text is no valid configuration
 */
export async function compileTimes(texts: readonly string[]): Promise<CompileTimes[]> {
  const sizes = { connections: 1024, frames: 512, processors: 1 };
  const memory = formatMainMemory(new ArrayBuffer(computeLayout(sizes).totalSize), sizes);
  const publisher = new Publisher(memory);
  const times: CompileTimes[] = [];
  for (const text of texts) {
    const start = performance.now();
    const { configuration, faults } = parseConfiguration(text, 'bench');
    const parsed = performance.now();
    if (configuration === undefined) {
      throw new WeirError('ERR_LAB', `the benchmark's configuration: ${faults[0]?.message}`, '');
    }
    await publisher.publish(configuration, text);
    times.push({ parseMs: parsed - start, publishMs: performance.now() - parsed });
  }
  return times;
}
