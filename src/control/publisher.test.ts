import { describe, expect, it } from 'vitest';
import {
  CONFIGURATION_TABLE_SIZE,
  HEADER_APPLIED_AT,
  HEADER_CONFIGURATION_GENERATION,
  HEADER_ROUTING_GENERATION,
  PROCESSOR_SLEEPING,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import {
  BACKEND_CONNECTIONS,
  backendCounters,
  backendCountersBase,
} from '../tables/connection-backends.ts';
import { PROTOCOL_TCP, parseAddress } from '../wire/ipv4.ts';
import { fileText, parsed, runningMemory, serviceText, set, takeOver } from './control.harness.ts';
import { Publisher } from './publisher.ts';

const WEB = fileText([serviceText('web', 80, [11, 12])]);

function activeBase(memory: MainMemory): number {
  const generation = memory.header(HEADER_CONFIGURATION_GENERATION);
  return (memory.layout.configurationTable + (generation & 1) * CONFIGURATION_TABLE_SIZE) >> 2;
}

function findWeb(memory: MainMemory, port = 80): number {
  const address = parseAddress('10.1.0.100');
  return table.findService(memory.words, activeBase(memory), address, port, PROTOCOL_TCP);
}

async function publish(memory: MainMemory, publisher: Publisher, text: string): Promise<number> {
  const generation = await publisher.publish(parsed(text), text);
  takeOver(memory);
  return generation;
}

describe('Publisher', () => {
  it('puts services, routes and text into force, one generation after the other', async () => {
    const memory = runningMemory();
    const publisher = new Publisher(memory);
    expect(publisher.generation).toBe(0);
    expect(publisher.runningText()).toBeUndefined();
    expect(await publish(memory, publisher, WEB)).toBe(1);
    const service = findWeb(memory);
    expect(service).toBe(publisher.runningIds.services.get('web'));
    expect(table.serviceBackendCount(memory.words, activeBase(memory), service)).toBe(2);
    expect(publisher.runningText()).toBe(WEB);
    expect(memory.header(HEADER_ROUTING_GENERATION)).toBe(1);
    expect(memory.header(HEADER_APPLIED_AT)).toBeGreaterThan(1_700_000_000);

    const second = `# ümlaut\n${fileText([serviceText('web', 81, [11])])}`;
    expect(await publish(memory, publisher, second)).toBe(2);
    expect(findWeb(memory, 80)).toBe(table.NOT_FOUND);
    expect(findWeb(memory, 81)).toBe(service);
    expect(publisher.runningText()).toBe(second);
  });

  it('publishes routes only when they are others', async () => {
    const memory = runningMemory();
    const publisher = new Publisher(memory);
    await publish(memory, publisher, WEB);
    await publish(memory, publisher, fileText([serviceText('web', 81, [11])]));
    expect(memory.header(HEADER_CONFIGURATION_GENERATION)).toBe(2);
    expect(memory.header(HEADER_ROUTING_GENERATION)).toBe(1);
    const routes = WEB.replace('10.1.0.254', '10.1.0.253');
    await publish(memory, publisher, routes);
    expect(memory.header(HEADER_ROUTING_GENERATION)).toBe(2);
    // A successor sees in the table that it says the same.
    const successor = new Publisher(memory);
    successor.adopt(parsed(routes));
    await publish(memory, successor, routes);
    expect(memory.header(HEADER_ROUTING_GENERATION)).toBe(2);
    await publish(memory, successor, WEB);
    expect(memory.header(HEADER_ROUTING_GENERATION)).toBe(3);
  });

  it('changes nothing when something does not fit', async () => {
    const memory = runningMemory();
    const publisher = new Publisher(memory);
    await publish(memory, publisher, WEB);
    const large = `${WEB}#${'x'.repeat(2 << 20)}`;
    await expect(publisher.publish(parsed(WEB), large)).rejects.toMatchObject({
      code: 'ERR_TABLE_FULL',
    });
    // The checks of a file find this first; what control publishes need not come from a file.
    const [web] = parsed(WEB).services;
    const services = Array.from({ length: 4097 }, (_, i) => ({
      ...web,
      name: `s${i}`,
      port: i + 1,
    }));
    const many = { ...parsed(WEB), services };
    await expect(publisher.publish(many, WEB)).rejects.toMatchObject({ code: 'ERR_TABLE_FULL' });
    expect(publisher.generation).toBe(1);
    expect(publisher.runningText()).toBe(WEB);
    expect(findWeb(memory)).not.toBe(table.NOT_FOUND);
  });

  it('waits until no processor reads the standby buffer, and not for one that sleeps', async () => {
    const memory = runningMemory();
    const publisher = new Publisher(memory);
    await publisher.publish(parsed(WEB), WEB);
    takeOver(memory, [0]);
    let isPublished = false;
    const second = publisher.publish(parsed(WEB), WEB).then(() => {
      isPublished = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isPublished).toBe(false);
    expect(publisher.generation).toBe(1);
    set(memory, 1, PROCESSOR_SLEEPING, 1);
    await second;
    expect(publisher.generation).toBe(2);
  });

  it('keeps numbers by name, and gives a freed one to nobody', async () => {
    const memory = runningMemory();
    const publisher = new Publisher(memory);
    await publish(memory, publisher, WEB);
    const before = publisher.runningIds.backends;
    await publish(memory, publisher, fileText([serviceText('web', 80, [12, 13])]));
    const after = publisher.runningIds.backends;
    expect(after.get('web/b12')).toBe(before.get('web/b12'));
    expect(after.get('web/b13')).not.toBe(before.get('web/b11'));
  });
});

describe('Publisher.adopt', () => {
  it('finds the numbers of its predecessor', async () => {
    const memory = runningMemory();
    const first = new Publisher(memory);
    await publish(memory, first, fileText([serviceText('old', 79, [10])]));
    await publish(
      memory,
      first,
      fileText([serviceText('web', 80, [11, 12]), serviceText('old', 79, [10])]),
    );
    await publish(memory, first, WEB);
    const second = new Publisher(memory);
    second.adopt(parsed(second.runningText() as string));
    expect(second.runningIds).toEqual(first.runningIds);
    expect(second.runningIds.services.get('web')).toBe(1);
  });

  it('gives nobody the number of a backend that once had connections', async () => {
    const memory = runningMemory();
    const first = new Publisher(memory);
    await publish(memory, first, WEB);
    const gone = first.runningIds.backends.get('web/b11') as number;
    const counter = backendCounters(backendCountersBase(memory, 1), gone) + BACKEND_CONNECTIONS;
    memory.doubles[counter] = 1;
    await publish(memory, first, fileText([serviceText('web', 80, [12])]));

    const second = new Publisher(memory);
    second.adopt(parsed(second.runningText() as string));
    await publish(memory, second, fileText([serviceText('web', 80, [12, 13])]));
    expect(second.runningIds.backends.get('web/b13')).not.toBe(gone);
  });

  it('gives nobody a number of the active table when the text is another', async () => {
    const memory = runningMemory();
    const first = new Publisher(memory);
    await publish(memory, first, WEB);
    const { services, backends } = first.runningIds;
    // As if our predecessor had been killed right after it had put the next text into force.
    const second = new Publisher(memory);
    const next = fileText([serviceText('other', 443, [21])]);
    second.adopt(parsed(next));
    await publish(memory, second, next);
    expect([...services.values()]).not.toContain(second.runningIds.services.get('other'));
    expect([...backends.values()]).not.toContain(second.runningIds.backends.get('other/b21'));
  });
});
