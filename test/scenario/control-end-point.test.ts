// The control processor as an end point (Fig. 8): ordinary programs of the machine, unchanged, behind
// weir's pseudo-network device. nginx, sshd and iperf3 are reached from outside, curl and ping reach
// everybody from inside. What happens when parts of it fail: control-end-point-faults.test.ts.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, iperf3 } from '../../src/lab/clients.ts';
import { execute, start, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { startIperf3, startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { capabilityMask, readCapabilities } from '../../src/sys/capabilities.ts';
import {
  cpuSince,
  cpuTimes,
  ping,
  startApiProxy,
  startControlHost,
  startSshd,
} from '../support/control-host.ts';
import { openFiles, sharedSockets } from '../support/open-files.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const PROGRAMS = ['nginx', 'curl', 'ping', 'iperf3', 'sshd', 'ssh', 'ssh-keygen'];
const MEASURED_SECONDS = 1;
const SILENT = '10.1.0.222';

describeOnKinds('control as end point', PROGRAMS, (kind) => {
  const scenario = `control as end point on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  let host: LabHost;

  beforeAll(async () => {
    ({ network, host, weir } = await startControlHost(kind));
  });

  afterAll(() => cleanAll());

  const controlHost = async () => (await weir.status()).controlHost;

  it('nginx is reached from outside, and knows its clients', () => {
    const { status, body } = curl(network.client, `http://${host.address}/`);
    expect([status, body.trim()]).toEqual([200, host.name]);
    expect(curl(network.servers[0], 'http://10.2.0.7/').body.trim()).toBe(host.name);
  });

  it('curl from inside reaches services, servers and clients', async () => {
    const answers = new Set<string>();
    for (let i = 0; i < 6; i++) {
      answers.add(curl(host, `http://${network.virtualAddress}/`).body.trim());
    }
    expect([...answers].sort()).toEqual(['b1', 'b2']);
    expect(curl(host, `http://${network.servers[1].address}:8080/`).body.trim()).toBe('b2');
    await startNginx(network.client, { port: 8081 });
    const { body } = curl(host, `http://${network.client.address}:8081/`);
    expect(body.trim()).toBe(network.client.name);
  });

  it('ping works in both directions, in every size, and in fragments', () => {
    for (const size of ['0', '56', '1472', '1473', '8000', '60000']) {
      for (const [from, to] of [
        [network.client, host.address],
        [host, network.client.address],
        [host, network.servers[0].address],
      ] as const) {
        const { sent, received, text } = ping(from, to, ['-s', size]);
        expect(received, `${size} bytes to ${to}: ${text}`).toBe(sent);
      }
    }
  });

  it('programs are told why a packet could not be sent', async () => {
    const logFile = join(weir.folder, 'silent.log');
    expect(ping(host, '203.0.113.9').text).toContain('Destination Net Unreachable');
    // Nobody answers ARP there, which is known after a while.
    const silent = start('ping', ['-n', '-i', '0.2', SILENT], { ...host, logFile });
    const isTold = () => silent.log().includes('Destination Host Unreachable');
    await waitUntil('ping is told', isTold, 20_000, () => silent.log());
    await silent.stop();
    const closed = curl(host, `http://${network.virtualAddress}:81/`);
    expect(closed.error).toMatch(/refused|connect/i);
  });

  it('sshd, unchanged', async () => {
    const { clientArgs, process } = await startSshd(host);
    const args = [...clientArgs, `root@${host.address}`, 'head -c 3000000 /dev/zero | wc -c'];
    const { namespace } = network.client;
    const { stdout } = execute('ssh', args, { namespace, timeoutMs: 20_000 });
    expect(stdout.trim()).toBe('3000000');
    await process.stop();
  });

  it("weir's own API, for a client outside, by nginx before the control socket", async () => {
    const proxy = await startApiProxy(host, weir.socketPath, 8000);
    const { body, status } = curl(network.client, `http://${host.address}:8000/v1/status`);
    expect(status).toBe(200);
    expect(JSON.parse(body).controlHost).toMatchObject({ device: 'weir0', up: true, madeAnew: 0 });
    expect(curl(network.client, `http://${host.address}:8000/v1/backends`).status).toBe(403);
    await proxy.stop();
  });

  it('only the supervisor has capabilities, and the daemon of devices only its own', () => {
    const daemon = weir.pid('interface')!;
    for (const [role, pid] of weir.pids()) {
      const held = readCapabilities(pid).map(({ effective, permitted }) => effective | permitted);
      const visits = capabilityMask(['CAP_SYS_ADMIN']);
      if (role === 'supervisor') expect(held.every((each) => (each & visits) !== 0n)).toBe(true);
      else expect([role, ...held.filter((each) => each !== 0n)]).toEqual([role]);
    }
    const tapsOf = (role: string) =>
      openFiles(weir.pid(role)!).filter((file) => file === '/dev/net/tun').length;
    const roles = ['supervisor', 'switching 0', 'switching 1', 'interface', 'control'];
    // Whoever holds it keeps it alive: control does not need it.
    expect(roles.map(tapsOf)).toEqual([1, 1, 1, 1, 0]);
    expect(sharedSockets(daemon, weir.pid('supervisor')!)).toEqual([]);
  });

  it('a link with a smaller MTU is told of, and the kernel keeps to it', async () => {
    const [{ name }] = network.switchInterfaces;
    const setMtu = (mtu: number) => {
      // At both ends of the cable: a veth drops what is too long for its peer.
      for (const [namespace, end] of [
        [network.client.namespace, 'eth0'],
        [network.switchNamespace, name],
      ]) {
        execute('ip', ['link', 'set', end, 'mtu', String(mtu)], { namespace });
      }
    };
    setMtu(1300);
    await waitUntil(
      'weir knows the MTU',
      async () => (await weir.status()).interfaces[0].mtu === 1300,
    );
    const { text } = ping(host, network.client.address, ['-M', 'do', '-s', '1400', '-c', '2']);
    expect(text).toMatch(/mtu ?= ?1300/i);
    // Known to the kernel now: it makes fragments.
    const { received, sent } = ping(host, network.client.address, ['-s', '1400', '-M', 'dont']);
    expect(received).toBe(sent);
    setMtu(1500);
    await waitUntil(
      'weir knows the MTU',
      async () => (await weir.status()).interfaces[0].mtu === 1500,
    );
    execute('ip', ['route', 'flush', 'cache'], { namespace: host.namespace });
  });

  it('how fast it is', async () => {
    await startIperf3(host);
    const measure = async (name: string, args: string[]) => {
      const before = { cpu: cpuTimes(weir), host: await controlHost(), at: performance.now() };
      const { bitsPerSecond, retransmits, lost } = iperf3(
        network.client,
        host.address,
        MEASURED_SECONDS,
        args,
      );
      const ms = performance.now() - before.at;
      const { toHost, fromHost, daemon } = await controlHost();
      const packets = toHost.packets - before.host.toHost.packets;
      const packetsBack = fromHost.packets - before.host.fromHost.packets;
      const wakeUps = daemon.wakeUps - before.host.daemon.wakeUps;
      print(scenario, {
        figure: name,
        gigabitsPerSecond: Number((bitsPerSecond / 1e9).toFixed(3)),
        packetsPerSecondToHost: Math.round(packets / MEASURED_SECONDS),
        packetsPerSecondFromHost: Math.round(packetsBack / MEASURED_SECONDS),
        packetsPerWakeUp: Number(((packets + packetsBack) / Math.max(wakeUps, 1)).toFixed(1)),
        retransmits,
        lost,
        dropped: toHost.droppedFull - before.host.toHost.droppedFull,
        cpu: cpuSince(weir, before.cpu, ms),
      });
      expect(bitsPerSecond).toBeGreaterThan(1e6);
      return (packets + packetsBack) / Math.max(wakeUps, 1);
    };
    const perWakeUp = await measure('TCP to the host', []);
    await measure('TCP from the host', ['--reverse']);
    await measure('UDP, 64 bytes, to the host', ['--udp', '-b', '0', '-l', '64']);
    await measure('UDP, 64 bytes, from the host', ['--udp', '-b', '0', '-l', '64', '--reverse']);
    expect(perWakeUp).toBeGreaterThan(1);
  });

  it('every packet is accounted for', async () => {
    const { totals } = await expectBalanced(weir);
    expect(totals.reasons['to-control'].count).toBeGreaterThan(0);
    expect(totals.reasons['from-control'].count).toBeGreaterThan(0);
  });
});

describeOnKinds('control as end point, beside the other interfaces', ['nginx', 'curl'], (kind) => {
  afterAll(() => cleanAll());

  // With packet rings the kernel would answer for the address as well: `weir check` warns of that.
  it.skipIf(kind === 'af-packet')("is in weir's own namespace", async () => {
    const network = new LabNetwork({ backends: 1 });
    const address = '10.1.0.7';
    const configuration = (services: object[], more = {}) => ({
      ...switchConfiguration(network, { kind, services }),
      control: { addresses: [`${address}/24`], device: 'own0', routes: ['10.2.0.0/16'], ...more },
    });
    const weir = await WeirProcess.start(network.switchNamespace, configuration([]));
    const namespace = network.switchNamespace;
    const host: LabHost = { name: 'own', namespace, address, addresses: [address] };
    const server = await startNginx(host, { port: 80 });
    expect(curl(network.client, `http://${address}/`).body.trim()).toBe('own');
    await startNginx(network.servers[0], { port: 8080 });
    expect(curl(host, `http://${network.servers[0].address}:8080/`).body.trim()).toBe('b1');
    // At a reload a service takes a port of the address, and leaves it again; the device stays as it is.
    const reload = async (services: object[], more = {}) => {
      weir.writeConfig(configuration(services, more));
      return await weir.api('POST', '/v1/reload');
    };
    const backends = [{ name: 'b1', address: network.servers[0].address, port: 8080 }];
    const taken = { name: 'taken', address, protocol: 'tcp', port: 80, backends };
    expect((await reload([taken])).status).toBe(200);
    expect(curl(network.client, `http://${address}/`).body.trim()).toBe('b1');
    const refused = await reload([taken], { mtu: 1400 });
    expect(JSON.stringify(refused.body)).toContain('control.mtu cannot change while weir runs');
    expect((await reload([])).status).toBe(200);
    expect(curl(network.client, `http://${address}/`).body.trim()).toBe('own');
    await server.stop();
    expect(await weir.stop()).toBe(0);
    // The device has gone with weir.
    const { stdout } = execute('ip', ['-brief', 'link'], { namespace });
    expect(stdout).not.toContain('own0');
  });
});
