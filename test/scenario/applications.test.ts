// Network applications in a running weir, with real packets: the examples as a user writes them into the
// configuration, a reload that changes one, and the faults: an application that throws over every packet, one
// that takes a second for each, one that never returns. A web service goes on through all of it.

import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { execute, topFolder, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { underLoad } from '../support/killed-switch.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const PROCESSORS = 2;
const ECHO_PORT = 7777;
const BAD_PORT = 7778;
/** Of the web, that go on meanwhile. */
const CONNECTIONS = 20;
const DATAGRAMS = 200;

const MODULES: Record<string, string> = {
  throwing: `export const match = { protocol: 'udp', port: ${BAD_PORT} };
    export function onPacket() { throw new Error('on every packet'); }`,
  slow: `export const match = { protocol: 'udp', port: ${BAD_PORT} };
    export function onPacket(packet) {
      const end = performance.now() + 1000;
      while (performance.now() < end);
      return packet.consume();
    }`,
  endless: `export const match = { protocol: 'udp', port: ${BAD_PORT} };
    export function onPacket() { for (;;); }`,
};

/** Sends datagrams and counts the answers; written for Node, run in the client's namespace. */
const CLIENT = `
const { createSocket } = require('node:dgram');
const [address, port, count] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
const socket = createSocket('udp4');
let answers = 0, wrong = 0;
const end = () => { console.log(JSON.stringify({ answers, wrong })); process.exit(0); };
socket.on('message', (data) => {
  answers += 1;
  if (!/^datagram \\d+$/.test(data.toString())) wrong += 1;
  if (answers === count) end();
});
let sent = 0;
const next = () => {
  if (sent === count) return setTimeout(end, 1000);
  socket.send('datagram ' + sent++, port, address);
  setTimeout(next, 2);
};
next();`;

describeOnKinds('applications', ['nginx', 'curl'], (kind) => {
  const scenario = `applications on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  let services: object[];

  const configure = (applications: object[]) =>
    weir.writeConfig({
      ...switchConfiguration(network, { kind, processors: PROCESSORS, services }),
      applications,
    });

  const echo = (options: object = { port: ECHO_PORT }) => ({
    name: 'echo',
    module: './udp-echo.mjs',
    options,
  });

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, queues: PROCESSORS });
    await Promise.all(network.servers.map((host) => startWebServer(host, { port: 8080 })));
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const configuration = switchConfiguration(network, { kind, processors: PROCESSORS, services });
    weir = await WeirProcess.start(network.switchNamespace, configuration);
    const examples = join(topFolder(), 'examples', 'applications');
    for (const name of ['udp-echo', 'port-knocking', 'prefix-counter']) {
      copyFileSync(join(examples, `${name}.mjs`), join(weir.folder, `${name}.mjs`));
    }
    for (const [name, text] of Object.entries(MODULES)) {
      writeFileSync(join(weir.folder, `${name}.mjs`), text);
    }
  });

  afterAll(() => cleanAll());

  // biome-ignore lint/suspicious/noExplicitAny: the shape is that of control/application-view.ts.
  async function application(name: string): Promise<any> {
    const { body } = await weir.api('GET', '/v1/applications');
    return body.applications.find((each: { name: string }) => each.name === name);
  }

  async function until(name: string, what: string, state: string): Promise<void> {
    await waitUntil(
      what,
      async () => (await application(name))?.state === state,
      20_000,
      () => weir.log(),
    );
  }

  async function reload(applications: object[]): Promise<string[]> {
    configure(applications);
    const { status, body } = await weir.api('POST', '/v1/reload');
    expect(status, JSON.stringify(body)).toBe(200);
    return body.changes;
  }

  function send(port: number, count: number): { answers: number; wrong: number } {
    const { client } = network;
    const external = network.switchInterfaces.find(({ side }) => side === 'external')!;
    const args = ['-e', CLIENT, external.address, String(port), String(count)];
    const { namespace } = client;
    return JSON.parse(execute(process.execPath, args, { namespace, timeoutMs: 60_000 }).stdout);
  }

  it('a reload brings the echo; it answers every datagram, on whatever processor', async () => {
    expect(await reload([echo()])).toContain('application echo: added');
    await until('echo', 'the echo runs', 'running');
    expect(send(ECHO_PORT, DATAGRAMS)).toEqual({ answers: DATAGRAMS, wrong: 0 });
    const { totals } = await application('echo');
    expect(totals).toMatchObject({ packets: DATAGRAMS, replied: DATAGRAMS, failed: 0 });
    const microseconds = totals.busyMicroseconds / totals.packets;
    print(scenario, { echoed: totals.replied, microsecondsEach: microseconds });
    const { reasons } = (await weir.status()).totals;
    expect(reasons['app-replied'].count).toBe(DATAGRAMS);
  });

  it('another reload moves it to another port; what was counted stays', async () => {
    const changes = await reload([echo({ port: ECHO_PORT + 2 })]);
    expect(changes).toContain('application echo.options.port: changed, it is set up anew');
    await waitUntil('it is set up anew', async () => {
      const { revision, state } = await application('echo');
      return revision === 2 && state === 'running';
    });
    expect(send(ECHO_PORT + 2, 20)).toEqual({ answers: 20, wrong: 0 });
    expect(send(ECHO_PORT, 5).answers).toBe(0);
    expect((await application('echo')).totals.replied).toBe(DATAGRAMS + 20);
  });

  it('a module that is not there refuses the reload, and nothing changes', async () => {
    configure([{ name: 'gone', module: './not-there.mjs' }]);
    const { status, body } = await weir.api('POST', '/v1/reload');
    expect(status).toBe(409);
    expect(body.refused).toMatch(/module of application gone cannot be read/);
    expect((await application('echo')).state).toBe('running');
  });

  it('one that throws over every packet is switched off; the web goes on', async () => {
    const bad = { name: 'bad', module: './throwing.mjs', failures: 20 };
    await reload([bad, echo()]);
    await until('bad', 'the bad one runs', 'running');
    await until('echo', 'the echo runs', 'running');
    await underLoad(network, CONNECTIONS, async () => {
      send(BAD_PORT, 100);
      await until('bad', 'it is switched off', 'failed');
      expect(send(ECHO_PORT, 50)).toEqual({ answers: 50, wrong: 0 });
    });
    const { totals, processors } = await application('bad');
    expect(totals.exceptions).toBeGreaterThanOrEqual(20);
    expect(totals.failed).toBe(totals.exceptions);
    expect(processors.map((each: { lastError: string }) => each.lastError)).toContain(
      'Error: on every packet',
    );
    expect(weir.log()).toMatch(/application bad is switched off: Error: on every packet/);
    // It runs again when somebody says so.
    expect((await weir.api('POST', '/v1/applications/bad/restart')).status).toBe(200);
    await until('bad', 'it runs again', 'running');
  });

  it('one that takes a second for a packet is switched off after the first', async () => {
    await reload([{ name: 'slow', module: './slow.mjs', failures: 20 }, echo()]);
    await until('slow', 'the slow one runs', 'running');
    const before = weir.pids();
    const { longestSilenceMs } = await underLoad(network, CONNECTIONS, async () => {
      send(BAD_PORT, 3);
      await until('slow', 'it is switched off', 'failed');
      expect(send(ECHO_PORT, 50)).toEqual({ answers: 50, wrong: 0 });
    });
    const { processors } = await application('slow');
    const errors: string[] = processors.map((each: { lastError: string }) => each.lastError);
    expect(errors.join()).toMatch(/took \d+ µs, 5000 µs are its budget/);
    print(scenario, { slow: errors, longestSilenceMs });
    expect(weir.pids()).toEqual(before);
  });

  it('one that never returns costs a restart of its processor, and is not run again', async () => {
    await reload([{ name: 'endless', module: './endless.mjs' }, echo()]);
    await until('endless', 'the endless one runs', 'running');
    const report = await underLoad(network, CONNECTIONS, async () => {
      send(BAD_PORT, 1);
      await until('endless', 'it is found out', 'hung');
      await waitUntil('all processors switch', async () => {
        const { switching } = (await weir.status()).processes;
        return switching.every((each: { state: string }) => each.state === 'running');
      });
      send(BAD_PORT, 20);
      expect(send(ECHO_PORT, 50)).toEqual({ answers: 50, wrong: 0 });
    });
    const { processors } = await application('endless');
    expect(processors.map((each: { state: string }) => each.state)).toEqual(['hung', 'hung']);
    const { switching } = (await weir.status()).processes;
    const restarts = switching.map((each: { restarts: number }) => each.restarts);
    expect(restarts.reduce((a: number, b: number) => a + b)).toBe(1);
    print(scenario, { endless: restarts, longestSilenceMs: report.longestSilenceMs });
    expect(weir.log()).toMatch(/application endless is switched off: the processor hung in it/);
  });

  it('without applications all is as before', async () => {
    await reload([]);
    await waitUntil('they are gone', async () => {
      return (await weir.api('GET', '/v1/applications')).body.applications.length === 0;
    });
    expect(send(ECHO_PORT, 5).answers).toBe(0);
    const url = `http://${network.virtualAddress}/`;
    const { namespace } = network.client;
    expect(execute('curl', ['-s', url], { namespace }).stdout).toMatch(/^b[12]$/m);
  });
});

describeOnKinds('an application guards a service', ['nginx', 'curl'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 1, queues: 1 });
    await startWebServer(network.servers[0], { port: 8080 });
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const folder = join(topFolder(), 'examples', 'applications');
    const options = { port: 80, knocks: [7010, 7200], 'open-seconds': 60 };
    const match = [
      { protocol: 'tcp', port: 80 },
      { protocol: 'udp', port: '7000-7999' },
    ];
    const prefixes = { near: ['10.1.0.0/24'] };
    weir = await WeirProcess.start(network.switchNamespace, {
      ...switchConfiguration(network, { kind, services }),
      applications: [
        {
          name: 'guard',
          module: join(folder, 'port-knocking.mjs'),
          match,
          options,
          'when-off': 'drop',
        },
        {
          name: 'origins',
          module: join(folder, 'prefix-counter.mjs'),
          services: ['web'],
          options: { service: 'web', prefixes },
        },
      ],
    });
  });

  afterAll(() => cleanAll());

  it('is there from the start: who knocks is let in, and counted by where he comes from', async () => {
    const { namespace } = network.client;
    const { virtualAddress } = network;
    const curl = () =>
      execute('curl', ['-s', '-m', '2', `http://${virtualAddress}/`], { namespace, mayFail: true });
    expect(curl().stdout).toBe('');
    for (const port of [7010, 7200]) {
      execute('bash', ['-c', `echo -n x > /dev/udp/${virtualAddress}/${port}`], { namespace });
    }
    expect(curl().stdout).toMatch(/b1/);
    const { body } = await weir.api('GET', '/v1/applications');
    const [guard, origins] = body.applications;
    expect(guard.totals.counters).toEqual({ 'let in': 1 });
    expect(origins.totals.counters.near).toBeGreaterThan(3);
    expect(origins.totals.counters.other).toBe(0);
    await expectBalanced(weir);
  });
});
