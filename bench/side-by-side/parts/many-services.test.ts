import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseConfiguration } from '../../../src/control/config/parse.ts';
import { CONFIGURATION_TEXT_SIZE } from '../../../src/memory/layout.ts';
import { compileTimes, manyServices, servicesText } from './many-services.ts';

const COMMON = {
  interfaces: [
    { name: 'ext0', addresses: ['10.1.0.1/24'] },
    { name: 'int0', addresses: ['10.2.0.1/24'] },
  ],
};

function text(count: number, variant: number): string {
  const servers = ['10.2.0.11', '10.2.0.12', '10.2.0.13', '10.2.0.14'];
  const services = manyServices({ virtualAddress: '10.1.0.100', port: 9, servers, count, variant });
  return `${stringify(COMMON)}${servicesText(services)}`;
}

describe('the large configuration', () => {
  it('is valid, also with 1,000 services, and fits into main memory', () => {
    const large = text(1000, 0);
    const { configuration, faults } = parseConfiguration(large, 'large');
    expect(faults).toEqual([]);
    expect(configuration?.services.length).toBe(1000);
    expect(configuration?.services[999].backends.length).toBe(10);
    expect(large.length).toBeLessThan(CONFIGURATION_TEXT_SIZE);
  });

  it('the text says what the services are', () => {
    const wanted = { virtualAddress: '10.1.0.100', port: 9, servers: ['10.2.0.11'], count: 3 };
    const services = manyServices({ ...wanted, variant: 5 });
    expect(parse(servicesText(services))).toEqual({ services });
  });

  it('has another weight and another server in every service of the next variant', () => {
    const [before, after] = [text(20, 0), text(20, 1)].map(
      (each) => parseConfiguration(each, 'file').configuration!.services,
    );
    before.forEach((service, i) => {
      service.backends.forEach((backend, j) => {
        expect(after[i].backends[j].weight).not.toBe(backend.weight);
        expect(after[i].backends[j].address).not.toBe(backend.address);
      });
    });
  });

  it('is parsed and published once for each text', async () => {
    const times = await compileTimes([text(3, 0), text(3, 1)]);
    expect(times.length).toBe(2);
    for (const { parseMs, publishMs } of times) {
      expect(parseMs).toBeGreaterThan(0);
      expect(publishMs).toBeGreaterThan(0);
    }
    await expect(compileTimes(['services: none'])).rejects.toThrow(/configuration/);
  });
});
