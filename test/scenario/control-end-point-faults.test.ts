// The control host when parts of it fail: the interface daemon is killed and stopped, the device
// deleted, its namespace removed, the supervisor replaced and everything killed, while a service of weir's
// goes on as long as anything of weir does. What it carries otherwise: control-end-point.test.ts.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll, removeNamespace } from '../../src/lab/clean-up.ts';
import { curl } from '../../src/lab/clients.ts';
import { execute, start, waitUntil } from '../../src/lab/command.ts';
import type { LabHost, LabNetwork } from '../../src/lab/network.ts';
import { startIperf3, startNginx } from '../../src/lab/servers.ts';
import type { WeirProcess } from '../../src/lab/weir-process.ts';
import { makeNamespace, startControlHost } from '../support/control-host.ts';
import { rateOver, sleep, startAgain, underLoad } from '../support/killed-switch.ts';
import { describeOnBestKind, print } from '../support/scenario.ts';

const PROGRAMS = ['nginx', 'curl', 'ping', 'iperf3'];
const CONNECTIONS = 10;
const BACK_WITHIN_MS = 30_000;

describeOnBestKind('control host that fails', PROGRAMS, (kind) => {
  const scenario = `control host that fails, on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  let host: LabHost;

  beforeAll(async () => {
    ({ network, host, weir } = await startControlHost(kind));
    await startIperf3(host);
  });

  afterAll(() => cleanAll());

  const controlHost = async () => (await weir.status()).controlHost;
  const untilMadeAnew = (times: number) =>
    waitUntil(
      'it is made anew',
      async () => {
        const { up, madeAnew } = await controlHost();
        return up && madeAnew === times;
      },
      BACK_WITHIN_MS,
    );

  /** Until a program of the control host answers again. */
  const untilServed = () =>
    waitUntil(
      'nginx of the control host answers',
      () => curl(network.client, `http://${host.address}/`, [], 2).body.trim() === host.name,
      BACK_WITHIN_MS,
      () => weir.log(),
    );

  it('the interface daemon is killed: switching goes on, and it is back', async () => {
    await underLoad(network, CONNECTIONS, async () => {
      const old = weir.pid('interface')!;
      weir.kill('SIGKILL', 'interface');
      await weir.waitForRestart('interface', old);
      await untilServed();
    });
    expect((await controlHost()).daemon).toMatchObject({ restarts: 1, pid: weir.pid('interface') });
  });

  it('it stands still: packet storage fills and drops, switching goes on, and it is back', async () => {
    const before = await controlHost();
    await underLoad(network, CONNECTIONS, async (load) => {
      const figures = { before: await rateOver(load, 500), during: 0 };
      const old = weir.pid('interface')!;
      weir.kill('SIGSTOP', 'interface');
      const flood = start('ping', ['-f', '-q', '-l', '4000', '-w', '2', host.address], {
        namespace: network.client.namespace,
      });
      figures.during = await rateOver(load, 1500);
      await flood.stop();
      const { toHost } = await controlHost();
      const droppedFull = toHost.droppedFull - before.toHost.droppedFull;
      print(scenario, { stopped: 'interface daemon', ...figures, droppedFull });
      expect(droppedFull).toBeGreaterThan(0);
      expect(figures.during).toBeGreaterThan(0);
      await weir.waitForRestart('interface', old, BACK_WITHIN_MS);
      await untilServed();
    });
    expect((await controlHost()).daemon.restarts).toBe(2);
  });

  it('the device is deleted: it is made anew, with all that it had', async () => {
    const pids = weir.pids();
    const logFile = join(weir.folder, 'iperf3.json');
    const options = ['--client', host.address, '--time', '3', '--bitrate', '20M', '--json'];
    const { namespace } = network.client;
    const open = start('iperf3', options, { namespace, logFile });
    await sleep(700);
    execute('ip', ['link', 'delete', 'weir0'], { namespace: host.namespace });
    await untilMadeAnew(1);
    await untilServed();
    const { stdout } = execute('ip', ['route'], { namespace: host.namespace });
    expect(stdout).toContain('default via 169.254.87.69 dev weir0');
    expect(weir.pids()).toEqual(pids);
    // A TCP connection that was open goes on to its end.
    await open.exited;
    const { end, error } = JSON.parse(open.log());
    expect(error).toBeUndefined();
    expect(end.sum_received.bytes).toBeGreaterThan(10e6 / 8);
  });

  it('a supervisor that takes over keeps the device and the daemon', async () => {
    const before = await controlHost();
    const longPing = start('ping', ['-q', '-i', '0.02', host.address], {
      namespace: network.client.namespace,
      logFile: join(weir.folder, 'ping.log'),
    });
    weir.kill('SIGKILL', 'supervisor');
    await sleep(300);
    startAgain(weir);
    await waitUntil(
      'the next supervisor runs',
      async () => (await weir.status())?.processes.supervisor.alive === true,
      BACK_WITHIN_MS,
    );
    process.kill(longPing.pid, 'SIGINT');
    await longPing.exited;
    expect(longPing.log()).toContain(' 0% packet loss');
    const after = await controlHost();
    expect(after.daemon.pid).toBe(before.daemon.pid);
    const old = weir.pid('interface')!;
    weir.kill('SIGKILL', 'interface');
    await weir.waitForRestart('interface', old);
    execute('ip', ['link', 'delete', 'weir0'], { namespace: host.namespace });
    await untilMadeAnew(before.madeAnew + 1);
    await untilServed();
  });

  it('the namespace is removed: switching goes on, and the device is in the next of that name', async () => {
    removeNamespace(host.namespace);
    await waitUntil('it is noticed', async () => !(await controlHost()).up);
    // Meanwhile the daemon sleeps, though its device's descriptor would end every sleep.
    const { wakeUps } = (await controlHost()).daemon;
    await sleep(500);
    expect((await controlHost()).daemon.wakeUps - wakeUps).toBeLessThan(200);
    expect(curl(network.client, `http://${network.virtualAddress}/`).status).toBe(200);
    makeNamespace(host.namespace);
    await waitUntil('it is there again', async () => (await controlHost()).up, BACK_WITHIN_MS);
    await startNginx(host, { port: 80 });
    await untilServed();
  });

  it('everything is killed: the device goes with it, and weir starts again', async () => {
    for (const pid of weir.pids().values()) process.kill(pid, 'SIGKILL');
    const links = () =>
      execute('ip', ['-brief', 'link'], { namespace: host.namespace }).stdout.includes('weir0');
    await waitUntil('the device is gone', () => !links());
    const again = startAgain(weir);
    const isReady = async () => (await weir.status())?.state === 'ready';
    await waitUntil('weir is ready', isReady, BACK_WITHIN_MS, () => again.log());
    await untilServed();
    expect(links()).toBe(true);
    await again.stop();
    expect(links()).toBe(false);
  });
});
