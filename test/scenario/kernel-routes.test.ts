// The mirror of the kernel's routes against the kernel's own tool, `ip -j route`: with a hundred thousand
// routes, under a thousand random changes a second, after events were lost, and after routes went that the
// kernel says nothing about. Times and memory are printed.

import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import type { OriginRoute } from '../../src/control/compile-routes.ts';
import { KernelResolution } from '../../src/control/kernel-resolution.ts';
import { KernelSource, type KernelSourceSettings } from '../../src/control/kernel-source.ts';
import { RoutePublication } from '../../src/control/route-publication.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { plainMainMemory } from '../../src/memory/region.ts';
import { readLink } from '../../src/sys/link.ts';
import { TABLE_MAIN } from '../../src/sys/route-messages.ts';
import { parseAddress } from '../../src/wire/ipv4.ts';
import { RouteChurn, routesByIp, routesByMirror } from '../support/kernel-routes.ts';
import { enterPrivateNetwork, ip } from '../support/private-network.ts';
import { print } from '../support/scenario.ts';

const ROUTES = 100_000;
const CHANGES_PER_SECOND = 1000;
const CHURN_MS = 10_000;
const DEADLINE_MS = 30_000;

const reason = enterPrivateNetwork();
if (reason !== undefined) process.stdout.write(`kernel routes: skipped: ${reason}\n`);
else {
  ip('link set lo up');
  ip('link add v0 type veth peer name v1');
  ip('link set v0 up');
  ip('link set v1 up');
  ip('addr add 10.1.0.9/24 dev v0');
}

describe.skipIf(reason !== undefined)("the kernel's routes", () => {
  let source: KernelSource;

  afterEach(() => {
    source.stop();
    execFileSync('ip', ['route', 'flush', 'table', 'main', 'proto', 'static']);
  });

  async function follow(more: Partial<KernelSourceSettings> = {}): Promise<KernelSource> {
    const log = { info: () => {}, warning: () => {} };
    const nothing = { onDumped: () => {}, onChanged: () => {} };
    source = new KernelSource({ table: TABLE_MAIN, log, ...nothing, ...more });
    await source.start();
    return source;
  }

  const byMirror = () => routesByMirror(source.mirror!, source.links);

  async function expectEqual(): Promise<number> {
    const expected = routesByIp();
    const differences = () => {
      const mine = new Set(byMirror());
      const missing = expected.filter((each) => !mine.delete(each));
      return { missing: missing.slice(0, 5), more: [...mine].slice(0, 5) };
    };
    await waitUntil(
      'the mirror is equal',
      () => byMirror().join('\n') === expected.join('\n'),
      DEADLINE_MS,
      () => JSON.stringify(differences()),
    );
    return expected.length;
  }

  it('a hundred thousand of them, and what they cost', async () => {
    const churn = new RouteChurn(new Prng(7), readLink('v0').index);
    while (churn.count < ROUTES) churn.add();
    churn.close();
    globalThis.gc?.();
    const before = process.memoryUsage();
    await follow();
    globalThis.gc?.();
    const after = process.memoryUsage();
    const count = await expectEqual();
    expect(count).toBe(ROUTES + 1);
    const connected = [
      { prefix: parseAddress('10.1.0.0'), length: 24, interfaceNumber: 0, gateway: 0 },
    ].map((each) => ({ ...each, origin: 'interface', metric: -1 }) as const);
    const resolution = new KernelResolution(connected, new Set());
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    const publication = new RoutePublication(memory);
    const began = performance.now();
    const routes: OriginRoute[] = [];
    for (const key of source.mirror!.keys()) {
      const best = resolution.best(source.mirror!.at(key));
      if (best !== undefined) routes.push(best);
    }
    const resolved = performance.now();
    const report = await publication.prepare(routes);
    expect(report.routes).toBeGreaterThan(count * 0.8);
    print('kernel routes', {
      routes: count,
      dumpMs: Math.round(source.lastDumpMs),
      heapMiB: Math.round((after.heapUsed - before.heapUsed) / 2 ** 20),
      resolveMs: Math.round(resolved - began),
      writeTableMs: Math.round(performance.now() - resolved),
      rangeWords: report.rangeWords,
    });
  }, 120_000);

  it(`${CHANGES_PER_SECOND} random changes a second for ${CHURN_MS / 1000} s`, async () => {
    const seed = 20261121;
    const churn = new RouteChurn(new Prng(seed), readLink('v0').index);
    for (let i = 0; i < 1000; i++) churn.add();
    await follow();
    const began = performance.now();
    let changes = 0;
    while (performance.now() - began < CHURN_MS) {
      const due = ((performance.now() - began) / 1000) * CHANGES_PER_SECOND;
      for (; changes < due; changes++) churn.change();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    churn.close();
    const seconds = (performance.now() - began) / 1000;
    const { events, dumps, overflows } = source;
    const routes = await expectEqual();
    print('kernel routes, random changes', { seed, changes, events, dumps, overflows, routes });
    expect(changes / seconds).toBeGreaterThan(CHANGES_PER_SECOND * 0.99);
    expect(events).toBeGreaterThan(changes / 2);
  }, 90_000);

  it('more changes than fit into its receive buffer', async () => {
    await follow({ receiveBufferSize: 1 });
    const churn = new RouteChurn(new Prng(3), readLink('v0').index);
    for (let i = 0; i < 5000; i++) churn.change();
    let routes = 0;
    for (let round = 1; round <= 10; round++) {
      await waitUntil('events were lost', () => source.overflows >= round, DEADLINE_MS);
      // And again, while it reads them all.
      for (let i = 0; i < 500 * round; i++) churn.change();
      if (round % 3 === 0) routes = await expectEqual();
      for (let i = 0; i < 5000; i++) churn.change();
    }
    churn.close();
    routes = await expectEqual();
    const { overflows, dumps } = source;
    print('kernel routes, overflow', { routes, overflows, dumps });
    expect(dumps).toBeGreaterThan(1);
  }, 60_000);

  it('routes that go with a link or an address, of which nothing is told', async () => {
    ip('link add v2 type veth peer name v3');
    ip('link set v2 up');
    ip('link set v3 up');
    ip('addr add 10.9.0.1/24 dev v2');
    await follow();
    for (let i = 1; i < 50; i++) ip(`route add 100.${i}.0.0/16 via 10.9.0.${i + 1} proto static`);
    await expectEqual();
    expect(byMirror().length).toBeGreaterThan(49);
    ip('link set v2 down');
    await expectEqual();
    expect(byMirror().some((each) => each.includes('10.9.0.'))).toBe(false);
    ip('link set v2 up');
    ip('route add 100.1.0.0/16 via 10.9.0.2 src 10.9.0.1 proto static');
    await expectEqual();
    ip('addr del 10.9.0.1/24 dev v2');
    await expectEqual();
    ip('link del v2');
    await expectEqual();
  });

  it('the same prefix several times, by metric and appended', async () => {
    await follow({ doubtMs: 300 });
    ip('route add 100.1.0.0/16 via 10.1.0.20 proto static');
    ip('route add 100.1.0.0/16 via 10.1.0.21 metric 5 proto static');
    ip('route append 100.1.0.0/16 via 10.1.0.22 metric 5 proto static');
    ip('route prepend 100.1.0.0/16 via 10.1.0.23 metric 5 proto static');
    await expectEqual();
    ip('route del 100.1.0.0/16 via 10.1.0.22 metric 5');
    await expectEqual();
    ip('route replace 100.1.0.0/16 via 10.1.0.24 metric 5 proto static');
    await expectEqual();
    expect(source.mirror!.count).toBeGreaterThan(3);
  });
});
