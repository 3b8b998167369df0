// The servers that do real work, without the switch: a quota holds whatever its kind, a request costs the
// CPU time that it should, another process on the server slows its requests and not those of others, and
// the open-loop client sees all of it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { start } from '../../src/lab/command.ts';
import { CpuQuota } from '../../src/lab/cpu-quota.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { OpenLoad } from '../../src/lab/open-load-client.ts';
import { failuresOf, percentile, type RequestSample } from '../../src/lab/open-load-samples.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { WorkServer } from '../../src/lab/work-servers.ts';
import { sleep } from '../support/killed-switch.ts';
import { print } from '../support/scenario.ts';

const reason = skipReason();
if (reason !== undefined) process.stdout.write(`work-servers.test.ts is skipped: ${reason}\n`);

const SHARE = 0.2;

describe.skipIf(reason !== undefined)('servers that do real work', () => {
  let network: LabNetwork;
  let servers: WorkServer[];

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, management: true });
    servers = await Promise.all(
      network.servers.map((host) => WorkServer.start(host, { workMs: 4, cpuShare: SHARE })),
    );
  });

  afterAll(() => cleanAll());

  it.each([undefined, 'signals'] as const)('are held to their quota (%s)', async (kind) => {
    const quota = new CpuQuota('probe', SHARE, kind);
    const busy = start('sh', ['-c', 'while :; do :; done'], {});
    quota.add(busy.pid);
    await sleep(500);
    const begun = { usedMs: quota.usedMs(), atMs: performance.now() };
    await sleep(2000);
    const usedMs = quota.usedMs() - begun.usedMs;
    const used = usedMs / (performance.now() - begun.atMs);
    print('work-servers', { quota: quota.kind, share: SHARE, used });
    // Less when others take the machine's CPUs, never more.
    expect(used).toBeLessThan(SHARE * 1.2);
    expect(used).toBeGreaterThan(SHARE * 0.3);
    await busy.stop();
    await quota.remove();
  });

  /** The switch's kernel asks one server directly. */
  async function ask(server: WorkServer, rate: number, ms: number) {
    const place = { namespace: network.switchNamespace };
    const load = new OpenLoad(place, { host: server.host.address, port: 8080, rate });
    await sleep(ms);
    return load.stop();
  }

  it('take the CPU time of a request, and tell who they are', async () => {
    const [b1] = servers;
    const before = b1.quota.usedMs();
    const samples = await ask(b1, 20, 3000);
    const usedMs = b1.quota.usedMs() - before;
    print('work-servers', { requests: samples.length, usedMs, p99: percentile(samples, 0.99) });
    expect(failuresOf(samples)).toEqual({});
    expect(new Set(samples.map(({ server }) => server))).toEqual(new Set(['b1']));
    // 60 on average.
    expect(samples.length).toBeGreaterThan(30);
    expect(usedMs / samples.length).toBeGreaterThan(4);
    expect(usedMs / samples.length).toBeLessThan(9);
  });

  it('are slowed by another process of their own, not by one elsewhere', async () => {
    const [b1, b2] = servers;
    await b1.startHog(0.9);
    const both = await Promise.all([ask(b1, 35, 4000), ask(b2, 35, 4000)]);
    await b1.stopHogs();
    const [slow, fast] = both.map((samples: readonly RequestSample[]) => percentile(samples, 0.5));
    print('work-servers', { medianMs: { slow, fast } });
    expect(slow).toBeGreaterThan(fast * 2);
    const after = await ask(b1, 20, 2000);
    expect(percentile(after, 0.5)).toBeLessThan(slow);
  });
});
