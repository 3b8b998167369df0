// Packets that no service claims, between the servers' side and the outside: with curl, ping, a search of the
// way by time to live, UDP and bulk TCP, first routed as they are, then with their source translated, and at
// last not at all. Hosts hear why something cannot be done as from any router.

import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { type CommandResult, execute, ipBatch, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startIperf3, startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

/** An address of weir's on the outside that servers are translated to. */
const OUTER = '10.1.0.5';
const NOWHERE = '192.0.2.1';
const FORBIDDEN = '198.51.100.1';

describeOnBestKind('forwarding', ['curl', 'ping', 'iperf3'], (kind) => {
  const scenario = `forwarding on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  const ext = () => network.switchInterfaces[0].name;
  const int = () => network.switchInterfaces[1].name;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2 });
    await Promise.all([
      startWebServer(network.client, { port: 80 }),
      ...network.servers.map((host) => startWebServer(host, { port: 8080 })),
      startIperf3(network.client),
    ]);
    weir = await WeirProcess.start(network.switchNamespace, configuration([]));
  });

  afterAll(() => cleanAll());

  function configuration(forwarding: object[]): object {
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const routes = [{ to: '198.51.100.0/24', type: 'prohibit' }];
    const base = switchConfiguration(network, { kind, processors: 2, services });
    return { ...base, routes, forwarding };
  }

  async function reload(...forwarding: object[]): Promise<void> {
    weir.writeConfig(configuration(forwarding));
    const { body } = await weir.api('POST', '/v1/reload');
    expect(body).toMatchObject({ applied: true });
  }

  const onServer = (program: string, args: string[]): CommandResult =>
    execute(program, args, { namespace: network.servers[1].namespace, mayFail: true });
  /** The same, while other things go on. */
  function meanwhileOnServer(program: string, args: string[]): Promise<CommandResult> {
    const { namespace } = network.servers[1];
    const child = spawn('ip', ['netns', 'exec', namespace, program, ...args]);
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].on('data', (bytes) => {
        output[stream] += bytes;
      });
    }
    return new Promise((resolve) => {
      child.on('close', (status) => resolve({ ...output, status: status ?? -1 }));
    });
  }
  const curl = (host: string, seconds = 3) =>
    onServer('curl', ['-s', '--max-time', `${seconds}`, `http://${host}/`]);
  const ping = (...args: string[]) =>
    onServer('ping', ['-c', '2', '-i', '0.2', '-W', '2', ...args]);

  /** What a search of the way by time to live finds: who answers at each distance. */
  function hops(destination: string): string[] {
    return [1, 2].map((distance) => {
      const { stdout } = ping('-t', String(distance), destination);
      return (
        /From ([0-9.]+) .*Time to live exceeded/.exec(stdout)?.[1] ??
        / ([0-9.]+): icmp_seq/.exec(stdout)?.[1] ??
        '-'
      );
    });
  }

  /** The addresses from which the web server of the outside was asked. */
  async function sourceSeenOutside(): Promise<string> {
    const { namespace, address } = network.client;
    const script = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (m, { address, port }) => {
        socket.send(address, port, address, () => process.exit(0));
      });
      socket.bind(5555, '${address}', () => console.log('bound'));`;
    const server = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script]);
    await new Promise((resolve) => server.stdout.once('data', resolve));
    const client = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (m) => { console.log(String(m)); process.exit(0); });
      socket.send('who am I?', 5555, '${address}');
      setTimeout(() => process.exit(1), 4000);`;
    const seen = onServer(process.execPath, ['-e', client]).stdout.trim();
    server.kill();
    return seen;
  }

  it('off: the outside cannot be reached', async () => {
    expect(curl(network.client.address, 1).status).not.toBe(0);
    expect(ping('-W', '1', network.client.address).status).not.toBe(0);
    expect((await weir.status()).totals.reasons['not-ours'].count).toBeGreaterThan(0);
  });

  it('routed: there and back, as it is', async () => {
    ipBatch(
      [`route add 10.2.0.0/24 via ${network.switchInterfaces[0].address}`],
      network.client.namespace,
    );
    await reload({ from: int(), to: ext() }, { from: ext(), to: int() });
    const { client, servers, switchInterfaces } = network;
    expect(curl(client.address).stdout).toContain('client');
    expect(ping(client.address).status).toBe(0);
    expect(hops(client.address)).toEqual([switchInterfaces[1].address, client.address]);
    expect(await sourceSeenOutside()).toBe(servers[1].address);
    const inwards = execute('ping', ['-c', '1', '-W', '3', servers[1].address], {
      namespace: client.namespace,
    });
    expect(inwards.status).toBe(0);
  });

  it('routed: what cannot be sent on is said', async () => {
    expect(ping(NOWHERE).stdout).toContain('Destination Net Unreachable');
    expect(ping(FORBIDDEN).stdout).toContain('Packet filtered');
    const silent = ping('-c', '20', '10.1.0.250');
    expect(silent.stdout).toContain('Destination Host Unreachable');
    ipBatch([`link set ${ext()} mtu 1400`], network.switchNamespace);
    try {
      await waitUntil(
        'the MTU is known',
        async () => (await weir.status()).interfaces[0].mtu === 1400,
        5000,
      );
      const long = ping('-M', 'do', '-s', '1450', network.client.address);
      expect(long.stdout + long.stderr).toMatch(/[Ff]rag needed|message too long, mtu.1400/);
    } finally {
      ipBatch([`link set ${ext()} mtu 1500`], network.switchNamespace);
      execute('ip', ['route', 'flush', 'cache'], { namespace: network.servers[1].namespace });
    }
  });

  it('translated: the outside sees one address, and everything finds its way back', async () => {
    ipBatch(['route del 10.2.0.0/24'], network.client.namespace);
    await reload({ from: int(), to: ext(), source: OUTER });
    const { client, switchInterfaces } = network;
    await waitUntil(
      'it is translated',
      () => curl(client.address).status === 0,
      10_000,
      () => weir.logEnd(),
    );
    expect(await sourceSeenOutside()).toBe(OUTER);
    expect(ping(client.address).status).toBe(0);
    expect(hops(client.address)).toEqual([switchInterfaces[1].address, client.address]);
    // A port that nobody has: its host says so, through the translation.
    const refused = onServer(process.execPath, [
      '-e',
      `const socket = require('node:dgram').createSocket('udp4');
       socket.connect(4444, '${client.address}', () => socket.send('?'));
       socket.on('error', ({ code }) => { console.log(code); process.exit(0); });
       setTimeout(() => process.exit(1), 4000);`,
    ]);
    expect(refused.stdout.trim()).toBe('ECONNREFUSED');
    // Nobody can begin from outside.
    const inwards = execute('ping', ['-c', '1', '-W', '1', network.servers[1].address], {
      namespace: client.namespace,
      mayFail: true,
    });
    expect(inwards.status).not.toBe(0);
    const { forwarding } = await weir.status();
    expect(forwarding.sourceNat.connectionsTotal).toBeGreaterThan(4);
    expect(forwarding.sourceNat.packetsIn).toBeGreaterThan(4);
    await expectBalanced(weir);
  });

  it('translated: in bulk, while services go on and processes are killed', async () => {
    const { client, servers } = network;
    const old = weir.kill('SIGKILL', 'control')[0];
    // Three connections, so that each processor has some of them.
    const under = meanwhileOnServer('iperf3', ['-c', client.address, '-t', '4', '-P', '3', '-J']);
    for (const role of ['switching 0', 'switching 1'] as const) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const [pid] = weir.kill('SIGKILL', role);
      await weir.waitForRestart(role, pid);
    }
    const bulk = await under;
    expect(bulk.status, bulk.stdout + bulk.stderr).toBe(0);
    const { end } = JSON.parse(bulk.stdout);
    const service = execute(
      'curl',
      ['-s', '--max-time', '3', `http://${network.virtualAddress}/`],
      { namespace: client.namespace },
    );
    expect(servers.map(({ name }) => name)).toContain(service.stdout.trim());
    await weir.waitForRestart('control', old);
    await weir.waitForState('ready');
    expect(curl(client.address).status).toBe(0);
    const gbits = end.sum_received.bits_per_second / 1e9;
    const { forwarding } = await weir.status();
    print(scenario, { translatedGbitPerSecond: Number(gbits.toFixed(2)), ...forwarding.sourceNat });
    expect(gbits).toBeGreaterThan(0.001);
  });

  it('off again: connections that were begun go on, no other begins', async () => {
    const { address } = network.client;
    // Two seconds: the reload is in their midst.
    const begun = async () => (await weir.status()).forwarding.sourceNat.connectionsTotal as number;
    const before = await begun();
    const going = meanwhileOnServer('iperf3', ['-c', address, '-n', '4M', '-b', '16M', '-J']);
    await waitUntil('it has begun', async () => (await begun()) >= before + 2, 10_000);
    await reload();
    expect(curl(address, 1).status).not.toBe(0);
    const { status, stdout, stderr } = await going;
    expect(status, stdout + stderr).toBe(0);
    print(scenario, { goneOnBytes: JSON.parse(stdout).end.sum_received.bytes });
    const { totals } = await weir.status();
    for (const reason of [
      'forwarded',
      'source-nat',
      'time-exceeded-answered',
      'forwarding-refused',
    ]) {
      expect(totals.reasons[reason]?.count, reason).toBeGreaterThan(0);
    }
  });
});
