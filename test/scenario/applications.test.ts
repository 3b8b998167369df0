// Network applications in a running weir, with real packets: the examples as a user writes them into the
// configuration, reloads that change them, and the faults: applications that throw, wait, never return, end
// their process, use up its memory, or try to change the language under the switch. A web service goes on
// through all of it. The faults are the same on every kind of interface, and are shown on one.

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { HttpLoad } from '../../src/lab/clients.ts';
import { execute, topFolder, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { UNHARMED } from '../support/killed-switch.ts';
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
/** Of V8's heap: so much is used up soon. */
const HEAP_MEGABYTES = 120;

const onPacket = (body: string) => `export const match = { protocol: 'udp', port: ${BAD_PORT} };
  export function onPacket(packet) { ${body} }`;
const MODULES: Record<string, string> = {
  throwing: onPacket(`throw new Error('on every packet');`),
  exiting: onPacket('process.exit(0);'),
  slow: onPacket(`const end = performance.now() + 1000;
    while (performance.now() < end);
    return packet.consume();`),
  waiting: onPacket(`Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    return packet.consume();`),
  endless: onPacket('for (;;);'),
  dying: onPacket('process.reallyExit(0);'),
  hoarding: onPacket('for (const all = []; ; ) all.push(new Array(100_000).fill(0.5));'),
  later: `${onPacket('return packet.drop();')}
    export function setup() { Promise.reject(new Error('in a promise')); }`,
  never: `await new Promise(() => {}); ${onPacket('return packet.drop();')}`,
  replacing: `const wrong = () => { throw new Error('replaced'); };
    let failed = 0;
    for (const [from, name] of [[globalThis, 'Math'], [globalThis, 'Atomics'], [process, 'exit']]) {
      try { from[name] = wrong; } catch { failed += 1; }
    }
    export const match = { protocol: 'udp', port: ${BAD_PORT} };
    export function setup(host) { host.count(host.counter('failed'), failed); }
    export function onPacket(packet) { return packet.reply(packet.payloadLength); }`,
};

/** Sends datagrams and counts the answers; written for Node, run in the client's namespace. */
const CLIENT = `
const { createSocket } = require('node:dgram');
const [address, port, count, wait] = process.argv.slice(1).map((each, i) => i ? Number(each) : each);
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
  if (sent === count) return setTimeout(end, wait);
  socket.send('datagram ' + sent++, port, address);
  setTimeout(next, 2);
};
next();`;

describeOnKinds('applications', ['nginx', 'curl'], (kind) => {
  const scenario = `applications on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  let services: object[];

  const configurationWith = (applications: object[]) => ({
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
    const examples = join(topFolder(), 'examples', 'applications');
    const guard = {
      name: 'guard',
      module: join(examples, 'port-knocking.mjs'),
      'when-off': 'drop',
      match: [
        { protocol: 'tcp', port: 80 },
        { protocol: 'udp', port: '7000-7999' },
      ],
      options: { port: 80, knocks: [7010, 7200], 'open-seconds': 60 },
    };
    const origins = {
      name: 'origins',
      module: join(examples, 'prefix-counter.mjs'),
      services: ['web'],
      options: { service: 'web', prefixes: { near: ['10.1.0.0/24'] } },
    };
    const configuration = configurationWith([guard, origins]);
    const environment = { NODE_OPTIONS: `--max-old-space-size=${HEAP_MEGABYTES}` };
    weir = await WeirProcess.start(network.switchNamespace, configuration, { environment });
    copyFileSync(join(examples, 'udp-echo.mjs'), join(weir.folder, 'udp-echo.mjs'));
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

  async function until(name: string, state: string | RegExp): Promise<void> {
    await waitUntil(
      `${name} is ${state}`,
      async () => new RegExp(state).test((await application(name))?.state),
      40_000,
      () => weir.log(),
    );
  }

  async function errorsOf(name: string): Promise<string> {
    const { processors } = await application(name);
    return processors.map((each: { lastError: string }) => each.lastError).join();
  }

  /** `weir reload`, which waits until the applications run. */
  function reload(applications: object[]): { said: string; code: number } {
    weir.writeConfig(configurationWith(applications));
    return weirReload();
  }

  function weirReload(): { said: string; code: number } {
    const args = [join(topFolder(), 'bin', 'weir'), 'reload', '--socket', weir.socketPath];
    const { stdout, stderr, status } = execute(process.execPath, args, { mayFail: true });
    return { said: stdout + stderr, code: status };
  }

  function send(port: number, count: number, waitMs = 300): { answers: number; wrong: number } {
    const { client } = network;
    const external = network.switchInterfaces.find(({ side }) => side === 'external')!;
    const args = ['-e', CLIENT, external.address, String(port), String(count), String(waitMs)];
    const { namespace } = client;
    return JSON.parse(execute(process.execPath, args, { namespace, timeoutMs: 60_000 }).stdout);
  }
  const echoAnswers = (count: number) =>
    expect(send(ECHO_PORT, count, 3000)).toEqual({ answers: count, wrong: 0 });

  it('are there from the start: who knocks is let in, and counted by where he comes from', async () => {
    const { namespace } = network.client;
    const { virtualAddress } = network;
    const curl = (seconds: string) => {
      const args = ['-s', '-m', seconds, `http://${virtualAddress}/`];
      return execute('curl', args, { namespace, mayFail: true }).stdout;
    };
    expect(curl('0.5')).toBe('');
    for (const port of [7010, 7200]) {
      execute('bash', ['-c', `echo -n x > /dev/udp/${virtualAddress}/${port}`], { namespace });
    }
    expect(curl('5')).toMatch(/b[12]/);
    const [guard, origins] = [await application('guard'), await application('origins')];
    expect(guard.totals.counters).toEqual({ 'let in': 1 });
    expect(origins.totals.counters.near).toBeGreaterThan(3);
    expect(origins.totals.counters.other).toBe(0);
    await expectBalanced(weir);
  });

  it('a reload brings the echo; it answers every datagram, on whatever processor', async () => {
    expect(reload([echo()]).said).toContain('application echo: added');
    echoAnswers(DATAGRAMS);
    const { totals } = await application('echo');
    expect(totals).toMatchObject({ packets: DATAGRAMS, replied: DATAGRAMS, failed: 0 });
    const microseconds = totals.busyMicroseconds / totals.packets;
    print(scenario, { echoed: totals.replied, microsecondsEach: microseconds });
    const { reasons } = (await weir.status()).totals;
    expect(reasons['app-replied'].count).toBe(DATAGRAMS);
  });

  it('another reload moves it to another port; what was counted stays', async () => {
    const { said } = reload([echo({ port: ECHO_PORT + 2 })]);
    expect(said).toContain('application echo.options.port: changed, it is set up anew');
    expect(send(ECHO_PORT + 2, 20, 3000)).toEqual({ answers: 20, wrong: 0 });
    expect(send(ECHO_PORT, 5).answers).toBe(0);
    expect((await application('echo')).totals.replied).toBe(DATAGRAMS + 20);
    reload([echo()]);
  });

  it('a reload takes a module anew when its file has changed, or one that it imports', () => {
    const file = join(weir.folder, 'udp-echo.mjs');
    const text = readFileSync(file, 'utf8');
    const changed = /application echo: its module has changed, it is set up anew/;
    expect(weirReload().said).toContain('no changes');
    const part = join(weir.folder, 'part.mjs');
    writeFileSync(part, 'export const isOn = false;');
    const use = `import { isOn } from './part.mjs';\n${text}`;
    writeFileSync(file, use.replace('onPacket(packet) {', '$&if (!isOn) return packet.drop();'));
    expect(weirReload().said).toMatch(changed);
    expect(send(ECHO_PORT, 5).answers).toBe(0);
    writeFileSync(part, 'export const isOn = true;');
    expect(weirReload().said).toMatch(changed);
    echoAnswers(5);
  });

  it('what is no module refuses a reload, and what cannot run is told at once', async () => {
    const gone = reload([{ name: 'gone', module: './not-there.mjs' }]);
    expect(gone.said).toMatch(/module of application gone cannot be read: .*ENOENT/);
    writeFileSync(join(weir.folder, 'wrong.mjs'), 'export const match = {};\n}}\n');
    const wrong = reload([{ name: 'wrong', module: './wrong.mjs' }]);
    expect(wrong.said).toMatch(/wrong\.mjs:2: SyntaxError: Unexpected token '}'/);
    expect([gone.code, wrong.code]).toEqual([2, 2]);
    echoAnswers(5);
    writeFileSync(join(weir.folder, 'empty.mjs'), 'export const match = {};\n');
    const empty = reload([echo(), { name: 'empty', module: './empty.mjs' }]);
    expect(empty.said).toMatch(
      /application empty does not run\n +switching 0, 1: broken: .* exports no function onPacket/,
    );
    echoAnswers(5);
  });

  if (kind === 'af-packet') {
    describe('while the web goes on', () => {
      let load: HttpLoad;

      beforeAll(async () => {
        const host = network.virtualAddress;
        const rhythm = { pauseMs: 50, intervalMs: 100, timeoutMs: 30_000 };
        load = new HttpLoad(network.client, { host, connections: CONNECTIONS, ...rhythm });
        await waitUntil('all connections are open', () => load.latest?.open === CONNECTIONS);
      });

      it('one that throws over every packet is switched off, and restarted by hand', async () => {
        reload([{ name: 'bad', module: './throwing.mjs', failures: 20 }, echo()]);
        send(BAD_PORT, 100, 0);
        await until('bad', 'failed');
        echoAnswers(20);
        const { totals } = await application('bad');
        expect(totals.exceptions).toBeGreaterThanOrEqual(20);
        expect(totals.failed).toBe(totals.exceptions);
        expect(await errorsOf('bad')).toContain('Error: on every packet (throwing.mjs:2)');
        expect(weir.log()).toMatch(/application bad is switched off: Error: on every packet/);
        expect((await weir.api('POST', '/v1/applications/bad/restart')).status).toBe(200);
        await until('bad', 'running');
      });

      it.each([
        ['takes a second for a packet', 'slow', 1, /took \d+ µs, 5000 µs are|kept the processor/],
        ['ends its process', 'exiting', 30, /process\.exit: an application cannot end/],
        ['rejects a promise that nobody looks at', 'later', 0, /in a promise \(later\.mjs:3\)/],
      ])('one that %s is switched off; nothing is restarted', async (_, name, count, error) => {
        const before = weir.pids();
        const failures = name === 'later' ? 1 : 20;
        reload([{ name, module: `./${name}.mjs`, failures }, echo()]);
        if (count > 0) send(BAD_PORT, count, 0);
        await until(name, 'failed');
        expect(await errorsOf(name)).toMatch(error);
        echoAnswers(20);
        expect(weir.pids()).toEqual(before);
      });

      it('one that waits a second for each packet is switched off at the second', async () => {
        reload([{ name: 'waiting', module: './waiting.mjs', failures: 20 }, echo()]);
        // Of three, one processor gets two at least.
        for (let seen = 1; seen <= 3; seen++) {
          send(BAD_PORT, 1, 0);
          await waitUntil('it was seen', async () => {
            const { state, totals } = await application('waiting');
            return state === 'failed' || totals.overruns >= seen;
          });
        }
        await until('waiting', 'failed');
        expect(await errorsOf('waiting')).toMatch(/kept the processor waiting for \d+ ms/);
      });

      it('names that all share cannot be changed; a module that never ends keeps nobody', async () => {
        const before = weir.pids();
        const replacing = { name: 'replacing', module: './replacing.mjs' };
        const never = { name: 'never', module: './never.mjs' };
        weir.writeConfig(configurationWith([replacing, never, echo()]));
        expect((await weir.api('POST', '/v1/reload')).status).toBe(200);
        await until('replacing', 'running');
        expect((await application('replacing')).totals.counters.failed).toBe(3 * PROCESSORS);
        expect(send(BAD_PORT, 20, 3000)).toEqual({ answers: 20, wrong: 0 });
        echoAnswers(20);
        expect((await application('never')).state).toBe('not loaded');
        expect(weir.pids()).toEqual(before);
      });

      it.each([
        ['never returns', 'endless', /^hung$/],
        ['ends its process by force', 'dying', /^crashed$/],
        // Where the CPU is much asked for it hangs before it has used up anything.
        ['uses up all memory', 'hoarding', /^crashed$|^hung$/],
      ])('one that %s costs one restart of its processor', async (_, name, state) => {
        const restarts = async () => {
          const { switching } = (await weir.status()).processes;
          return switching.reduce(
            (sum: number, each: { restarts: number }) => sum + each.restarts,
            0,
          );
        };
        const before = await restarts();
        reload([{ name, module: `./${name}.mjs` }, echo()]);
        send(BAD_PORT, 1, 0);
        await until(name, state);
        await waitUntil('all processors switch', async () => {
          const { switching } = (await weir.status()).processes;
          return switching.every((each: { state: string }) => each.state === 'running');
        });
        await until('echo', 'running');
        send(BAD_PORT, 20, 0);
        echoAnswers(20);
        const { processors } = await application(name);
        for (const each of processors) expect(each.state).toMatch(state);
        expect(await restarts()).toBe(before + 1);
        expect(weir.log()).toMatch(
          new RegExp(`application ${name} is switched off: a switching processor`),
        );
      });

      it('and the web has lost nothing', async () => {
        expect(load.latest?.open, JSON.stringify(load.latest)).toBe(CONNECTIONS);
        const report = await load.stop();
        expect(report, JSON.stringify(report.failures)).toMatchObject(UNHARMED);
        print(scenario, { longestSilenceMs: report.longestSilenceMs });
      });
    });
  }

  it('without applications all is as before', async () => {
    expect(reload([]).said).toContain('application echo: removed');
    await waitUntil('they are gone', async () => {
      return (await weir.api('GET', '/v1/applications')).body.applications.length === 0;
    });
    expect(send(ECHO_PORT, 5).answers).toBe(0);
    const url = `http://${network.virtualAddress}/`;
    const { namespace } = network.client;
    expect(execute('curl', ['-s', url], { namespace }).stdout).toMatch(/^b[12]$/m);
  });
});
