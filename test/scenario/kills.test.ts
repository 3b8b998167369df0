// Every process of the switch is killed in turn, by SIGKILL, under the load of 200 connections that
// stay open: none of them may break, for the connections, the frames and the sockets outlive whoever
// used them. A switching processor costs what was in its hands, which TCP sends again; the death of
// the control processor or of the supervisor, or a control processor that stands still, costs nothing.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll, isAlive } from '../../src/lab/clean-up.ts';
import type { HttpLoad } from '../../src/lab/clients.ts';
import { type LabProcess, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { receiveLimit } from '../../src/netif/af-xdp/af-xdp-queue.ts';
import {
  connectionsAtRest,
  framesAtRest,
  rateOver,
  restAfterKills,
  sleep,
  startAgain,
  underLoad,
} from '../support/killed-switch.ts';
import { describeOnKinds, print, switchConfiguration } from '../support/scenario.ts';

const PROCESSORS = 2;
const CONNECTIONS = 200;
const REPEATED_KILLS = 8;
const FRAMES = 1024;
/** Rounds of the sweep, of half a second each, and some for a busy machine. */
const RECOUNTED_WITHIN_MS = 20_000;
/** Each processor polls a queue of each of the two interfaces. */
const QUEUES_OF_ONE = 2;
/** What is promised; on a machine that does nothing else it takes about a third of it. */
const BACK_WITHIN_MS = 1000;

describeOnKinds('kills', ['nginx'], (kind) => {
  const scenario = `kills on ${kind}`;
  const stoppedForMs = kind === 'af-xdp' ? 10_000 : 3000;
  let network: LabNetwork;
  let weir: WeirProcess;
  /** The switching processors killed so far. */
  let killed = 0;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 3, queues: PROCESSORS });
    await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const options = { kind, processors: PROCESSORS, frames: FRAMES, services };
    weir = await WeirProcess.start(network.switchNamespace, switchConfiguration(network, options));
  });

  afterAll(() => cleanAll());

  /** Does something while all connections are busy; every one of them must come out whole. */
  const busy = (action: (load: HttpLoad) => Promise<void>) =>
    underLoad(network, CONNECTIONS, action);

  const switchingStatus = async (processor: number) =>
    (await weir.status()).processes.switching[processor];

  const untilControlAnswers = () =>
    waitUntil('the control processor answers', async () => {
      return (await weir.status().catch(() => undefined))?.state === 'ready';
    });

  /** Kills a switching processor. @returns the time until its next process receives packets */
  async function killSwitching(processor: number): Promise<number> {
    const role = `switching ${processor}`;
    const pid = weir.pid(role)!;
    const killedAt = performance.now();
    weir.kill('SIGKILL', role);
    killed += 1;
    await waitUntil(
      `${role} switches again`,
      async () => {
        const status = await switchingStatus(processor);
        return status.pid !== pid && status.state === 'running';
      },
      10_000,
      () => weir.log(),
    );
    const { received } = await switchingStatus(processor);
    await waitUntil(`${role} receives packets again`, async () => {
      return (await switchingStatus(processor)).received > received;
    });
    return Math.round(performance.now() - killedAt);
  }

  /** At rest the kernel has its part to receive into, and all other frames are free. */
  function expectNoFrameLost(): void {
    const { free, bySocket, elsewhere } = framesAtRest(weir);
    print(scenario, { frames: FRAMES, free, bySocket, elsewhere });
    expect(elsewhere).toBe(0);
    const ofAll = kind === 'af-xdp' ? PROCESSORS * QUEUES_OF_ONE : 0;
    expect(Object.keys(bySocket).length).toBe(ofAll);
    const most = receiveLimit(FRAMES, PROCESSORS, QUEUES_OF_ONE, FRAMES);
    for (const count of Object.values(bySocket)) expect(count).toBeLessThanOrEqual(most);
  }

  it('each switching processor is back within a second, and no connection breaks', async () => {
    const backAfterMs: number[] = [];
    const report = await busy(async () => {
      for (let processor = 0; processor < PROCESSORS; processor += 1) {
        backAfterMs.push(await killSwitching(processor));
        await sleep(300);
      }
    });
    const { requests, longestSilenceMs, latencyMs } = report;
    print(scenario, { killed: 'switching', backAfterMs, requests, longestSilenceMs, latencyMs });
    for (const milliseconds of backAfterMs) expect(milliseconds).toBeLessThan(BACK_WITHIN_MS);
    for (let processor = 0; processor < PROCESSORS; processor += 1) {
      expect(await switchingStatus(processor)).toMatchObject({ state: 'running', restarts: 1 });
    }
  });

  it('the death of the control processor changes nothing', async () => {
    const generation = (await weir.status()).configuration.generation;
    const figures: Record<string, number> = {};
    const report = await busy(async (load) => {
      figures.before = await rateOver(load, 700);
      const pid = weir.pid('control')!;
      const killedAt = performance.now();
      weir.kill('SIGKILL', 'control');
      figures.during = await rateOver(load, 700);
      await weir.waitForRestart('control', pid);
      await weir.waitForState('ready');
      figures.answersAfterMs = Math.round(performance.now() - killedAt);
    });
    const { requests, longestSilenceMs } = report;
    print(scenario, { killed: 'control', ...figures, requests, longestSilenceMs });
    const status = await weir.status();
    expect(status.processes.control).toMatchObject({ restarts: 1, pid: weir.pid('control') });
    expect(status.configuration.generation).toBeGreaterThan(generation);
    for (const each of status.processes.switching) expect(each.restarts).toBe(1);
  });

  it('a control processor that stands still changes nothing, and answers again after', async () => {
    const figures: Record<string, number> = {};
    await busy(async (load) => {
      figures.before = await rateOver(load, 1000);
      const [pid] = weir.kill('SIGSTOP', 'control');
      let hasAnswered = false;
      weir.api('GET', '/healthz').then(
        () => {
          hasAnswered = true;
        },
        () => {},
      );
      figures.during = await rateOver(load, stoppedForMs);
      expect(hasAnswered).toBe(false);
      weir.kill('SIGCONT', 'control');
      await untilControlAnswers();
      figures.after = await rateOver(load, 700);
      expect(weir.pid('control')).toBe(pid);
    });
    print(scenario, { stopped: 'control', stoppedForMs, requestsPerSecond: figures });
    expect(figures.during).toBeGreaterThan(0);
  });

  it('killed again and again, a switching processor loses no frame', async () => {
    const backAfterMs: number[] = [];
    const rates: Record<string, number> = {};
    await busy(async (load) => {
      rates.before = await rateOver(load, 1000);
      for (let kill = 0; kill < REPEATED_KILLS; kill += 1) {
        // Not always at the same moment of its life.
        await sleep(kill * 20);
        backAfterMs.push(await killSwitching(kill % PROCESSORS));
      }
      // Frames that the kernel seemed to hold are looked at again after this time.
      await sleep(3000);
      rates.after = await rateOver(load, 1000);
    });
    const status = await restAfterKills(weir, killed);
    const framesReclaimed = status.processes.switching.map(
      (each: { framesReclaimed: number }) => each.framesReclaimed,
    );
    print(scenario, { kills: REPEATED_KILLS, backAfterMs, rates, framesReclaimed });
    expectNoFrameLost();
    let counted = connectionsAtRest(weir);
    await waitUntil(
      'the connections are recounted',
      async () => {
        counted = connectionsAtRest(weir);
        return JSON.stringify(counted.gauges) === JSON.stringify(counted.records);
      },
      RECOUNTED_WITHIN_MS,
      () => JSON.stringify(counted),
    );
    print(scenario, { kills: REPEATED_KILLS, counted });
    expect(rates.after).toBeGreaterThan(0);
  });

  it('the supervisor dies: all goes on, and the next one takes over', async () => {
    let next: LabProcess | undefined;
    const figures: Record<string, number> = {};
    const before = weir.pids();
    const report = await busy(async (load) => {
      figures.before = await rateOver(load, 700);
      weir.kill('SIGKILL', 'supervisor');
      await weir.process.exited;
      figures.during = await rateOver(load, 700);
      expect((await weir.status()).processes.supervisor.alive).toBe(false);

      const startedAt = performance.now();
      next = startAgain(weir);
      await waitUntil(
        'the next supervisor has taken over',
        async () => (await weir.status()).processes.supervisor.alive,
        10_000,
        () => next!.log(),
      );
      figures.takenOverAfterMs = Math.round(performance.now() - startedAt);
      figures.after = await rateOver(load, 700);
      // The same processes as before, and a supervisor again.
      for (const role of ['switching 0', 'switching 1', 'control']) {
        expect(weir.pid(role), role).toBe(before.get(role));
      }
      expect(weir.pid('supervisor')).toBe(next.pid);
      // It does a supervisor's work for those that it has not started itself.
      figures.backAfterMs = await killSwitching(1);
      const control = weir.pid('control')!;
      weir.kill('SIGKILL', 'control');
      await weir.waitForRestart('control', control);
      await untilControlAnswers();
    });
    const { requests, longestSilenceMs } = report;
    print(scenario, { killed: 'supervisor', ...figures, requests, longestSilenceMs });
    await restAfterKills(weir, killed);

    const all = [...weir.pids().values()];
    expect(all.length).toBe(PROCESSORS + 2);
    await next!.stop(10_000);
    expect(await next!.exited).toBe(0);
    expect(all.filter(isAlive)).toEqual([]);
  });
});
