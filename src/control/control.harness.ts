// What the tests of the control processor share: main memory in a plain buffer with two switching
// processors that run, and a configuration to change.

import { Counters } from '../memory/counters.ts';
import {
  computeLayout,
  HEADER_CONFIGURATION_GENERATION,
  HEADER_ROUTING_GENERATION,
  HEADER_STARTED_AT,
  PROCESSOR_CONFIGURATION_GENERATION,
  PROCESSOR_CPU,
  PROCESSOR_HEARTBEAT,
  PROCESSOR_ROUTING_GENERATION,
  PROCESSOR_RUNNING_SINCE,
  PROCESSOR_STATE,
  STATE_RUNNING,
} from '../memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../memory/region.ts';
import { parseConfiguration } from './config/parse.ts';
import type { Configuration } from './config/schema.ts';

/** A configuration file with the services given as YAML flow. */
export function fileText(services: string[]): string {
  return `interfaces:
  - { name: ext0, addresses: [10.1.0.1/24] }
  - { name: int0, addresses: [10.2.0.1/24] }
routes:
  - { to: default, via: 10.1.0.254 }
processors: { switching: 2 }
services: [${services.join(', ')}]
`;
}

/** One service on port 80 and up, with backends 'b11', 'b12' … at 10.2.0.11, 10.2.0.12 …. */
export function serviceText(name: string, port: number, backends: number[], rest = ''): string {
  const list = backends.map((host) => `{ name: b${host}, address: 10.2.0.${host}, port: 80 }`);
  const head = `name: ${name}, address: 10.1.0.100, protocol: tcp, port: ${port}`;
  return `{ ${head}, ${rest} backends: [${list.join(', ')}] }`;
}

/** Parses what must be valid. */
export function parsed(text: string): Configuration {
  const { configuration, faults } = parseConfiguration(text, 'test.yaml');
  if (configuration === undefined) throw new Error(JSON.stringify(faults));
  return configuration;
}

/** Fresh main memory with two switching processors that have begun to run. */
export function runningMemory(): MainMemory {
  const sizes = { connections: 1024, frames: 256, processors: 2 };
  const memory = formatMainMemory(new ArrayBuffer(computeLayout(sizes).totalSize), sizes);
  memory.setHeader(HEADER_STARTED_AT, 1_700_000_000);
  for (const processor of [0, 1]) {
    set(memory, processor, PROCESSOR_STATE, STATE_RUNNING);
    set(memory, processor, PROCESSOR_CPU, -1);
    set(memory, processor, PROCESSOR_HEARTBEAT, 1000);
    set(memory, processor, PROCESSOR_RUNNING_SINCE, 500);
  }
  return memory;
}

/** Writes a word of a processor's block. */
export function set(memory: MainMemory, processor: number, word: number, value: number): void {
  memory.words[memory.processorWord(processor, word)] = value;
}

/** What a switching processor does at the start of a turn: it takes over what was published. */
export function takeOver(memory: MainMemory, processors = [0, 1]): void {
  const configuration = memory.header(HEADER_CONFIGURATION_GENERATION);
  const routing = memory.header(HEADER_ROUTING_GENERATION);
  for (const processor of processors) {
    set(memory, processor, PROCESSOR_CONFIGURATION_GENERATION, configuration);
    set(memory, processor, PROCESSOR_ROUTING_GENERATION, routing);
  }
}

/** The counters of a processor, to count in. */
export function counters(memory: MainMemory, processor: number): Counters {
  return new Counters(memory, processor);
}
