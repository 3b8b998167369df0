import { describe, expect, it } from 'vitest';
import { parseAddress } from '../wire/ipv4.ts';
import { configuredRoutes, mergeRoutes, type OriginRoute, routeKey } from './compile-routes.ts';
import { fileText, parsed } from './control.harness.ts';

/** The harness's configuration with more routes. */
function withRoutes(...routes: string[]) {
  const more = routes.map((route) => `  - { ${route} }\n`).join('');
  return parsed(fileText([]).replace('routes:\n', `routes:\n${more}`));
}

const kernelRoute = (prefix: string, length: number, metric: number): OriginRoute => ({
  prefix: parseAddress(prefix),
  length,
  metric,
  interfaceNumber: 0,
  gateway: parseAddress('10.1.0.77'),
  origin: 'kernel',
  protocol: 'bird',
});
const mapOf = (...routes: OriginRoute[]) =>
  new Map(routes.map((route) => [routeKey(route.prefix, route.length), route]));

describe('routes of the configuration', () => {
  it('follow the connected networks, and find the interface towards a router', () => {
    expect(mergeRoutes(parsed(fileText([])), new Map())).toEqual([
      {
        prefix: parseAddress('10.1.0.0'),
        length: 24,
        interfaceNumber: 0,
        gateway: 0,
        metric: -1,
        origin: 'interface',
      },
      {
        prefix: parseAddress('10.2.0.0'),
        length: 24,
        interfaceNumber: 1,
        gateway: 0,
        metric: -1,
        origin: 'interface',
      },
      {
        prefix: 0,
        length: 0,
        interfaceNumber: 0,
        gateway: parseAddress('10.1.0.254'),
        metric: 0,
        origin: 'configuration',
      },
    ]);
  });

  it('can refuse, and come by their metric', () => {
    const configuration = withRoutes(
      'to: 10.9.0.0/16, via: 10.1.0.2, metric: 7',
      'to: 10.9.0.0/16, type: prohibit, metric: 3',
    );
    const routes = configuredRoutes(configuration);
    expect(routes.map(({ metric }) => metric)).toEqual([0, 3, 7]);
    expect(routes[1]).toMatchObject({ refuses: 'prohibit', length: 16 });
  });
});

describe('routes of configuration and kernel together', () => {
  it('are decided by the metric, and by the configuration where it is the same', () => {
    const configuration = withRoutes(
      'to: 10.9.0.0/16, via: 10.1.0.2, metric: 32',
      'to: 10.8.0.0/16, via: 10.1.0.2, metric: 33',
    );
    const kernel = mapOf(
      kernelRoute('0.0.0.0', 0, 0),
      kernelRoute('10.9.0.0', 16, 32),
      kernelRoute('10.8.0.0', 16, 32),
      kernelRoute('10.7.0.0', 16, 500),
      // The network of an interface is never the kernel's to decide about.
      kernelRoute('10.2.0.0', 24, 0),
    );
    const merged = mergeRoutes(configuration, kernel);
    const winner = (prefix: string, length: number) =>
      merged.find(
        (each) => routeKey(each.prefix, each.length) === routeKey(parseAddress(prefix), length),
      )?.origin;
    expect(winner('0.0.0.0', 0)).toBe('configuration');
    expect(winner('10.9.0.0', 16)).toBe('configuration');
    expect(winner('10.8.0.0', 16)).toBe('kernel');
    expect(winner('10.7.0.0', 16)).toBe('kernel');
    expect(winner('10.2.0.0', 24)).toBe('interface');
  });
});
