// The control processor as an end point by an interface of the kernel's on the internal switch (Fig. 7, 37₀):
// ordinary programs of the switch's own host, known outside by a virtual address. nginx and iperf3 are reached
// from outside, curl and ping reach everybody from there; hosts are told what cannot be; processes are killed.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { macAddress } from '../../src/lab/addressing.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, iperf3 } from '../../src/lab/clients.ts';
import { execute, ipBatch, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { startIperf3, startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { cpuSince, cpuTimes, ping } from '../support/control-host.ts';
import { restAfterKills, underLoad } from '../support/killed-switch.ts';
import { type Ipv4Spec, packet } from '../support/packet-builder.ts';
import { sendFrames } from '../support/raw-sending.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const VIRTUAL = '10.1.0.9';
const PROCESSORS = 2;
const CONNECTIONS = 10;

describeOnKinds('control by interface', ['nginx', 'curl', 'ping', 'iperf3'], (kind) => {
  const scenario = `control by interface on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  /** The switch's own kernel, with an interface on the internal switch. */
  let host: LabHost;
  let configuration: object;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, queues: PROCESSORS, management: true });
    const address = network.managementAddress!;
    const namespace = network.switchNamespace;
    host = { name: 'control', namespace, address, addresses: [address] };
    const [, internal] = network.switchInterfaces;
    ipBatch([`route add default via ${internal.address} dev mgmt0`], namespace);
    await Promise.all([
      startNginx(host, { port: 80 }),
      startNginx(network.client, { port: 81 }),
      ...network.servers.map((each) => startNginx(each, { port: 8080, morePorts: [8081] })),
      startIperf3(host),
    ]);
    const onPort = (port: number) => {
      return network.servers.map((server) => ({
        name: server.name,
        address: server.address,
        port,
      }));
    };
    const web = { name: 'web', protocol: 'tcp', address: network.virtualAddress, port: 80 };
    configuration = {
      ...switchConfiguration(network, {
        kind,
        processors: PROCESSORS,
        services: [
          { ...web, backends: onPort(8080) },
          { ...web, name: 'own', address: VIRTUAL, port: 8000, backends: onPort(8081) },
        ],
      }),
      control: { via: 'interface', pairs: pairs() },
    };
    weir = await WeirProcess.start(namespace, configuration);
  });

  afterAll(() => cleanAll());

  const pairs = () => [{ virtual: VIRTUAL, real: host.address }];

  const reasonsNow = async () => {
    const { reasons } = (await weir.status()).totals;
    return (name: string): number => reasons[name]?.count ?? 0;
  };

  it('nginx is reached from outside, at a service’s address too, and by inner hosts', () => {
    const { status, body } = curl(network.client, `http://${VIRTUAL}/`);
    expect([status, body.trim()]).toEqual([200, 'control']);
    expect(curl(network.client, `http://${VIRTUAL}:8000/`).body.trim()).toMatch(/^b[12]$/);
    // The control host answers its own network past the switch, unless it is told otherwise.
    const [inner] = network.servers;
    const [, internal] = network.switchInterfaces;
    const way = `${inner.address}/32 via ${internal.address} dev mgmt0`;
    ipBatch([`route add ${way}`], host.namespace);
    expect(curl(inner, `http://${VIRTUAL}/`).body.trim()).toBe('control');
    expect(curl(host, `http://${inner.address}:8080/`).body.trim()).toBe(inner.name);
    ipBatch([`route del ${way}`], host.namespace);
  });

  it('curl from the control host reaches the outside, services, and itself', () => {
    expect(curl(host, `http://${network.client.address}:81/`).body.trim()).toBe('client');
    const answers = new Set<string>();
    for (let i = 0; i < 4; i++) {
      answers.add(curl(host, `http://${network.virtualAddress}/`).body.trim());
    }
    expect([...answers].sort()).toEqual(['b1', 'b2']);
    expect(curl(host, `http://${VIRTUAL}/`).body.trim()).toBe('control');
    expect(curl(host, `http://${network.virtualAddress}:82/`).error).toMatch(/refused|connect/i);
  });

  it('ping in both directions, in every size, and in fragments', () => {
    for (const size of ['0', '1472', '1473', '30000']) {
      for (const [from, to] of [
        [network.client, VIRTUAL],
        [host, network.client.address],
      ] as const) {
        const { sent, received, text } = ping(from, to, ['-s', size, '-c', '2']);
        expect(received, `${size} bytes to ${to}: ${text}`).toBe(sent);
      }
    }
  });

  it('both sides are told what cannot be', () => {
    const [external, internal] = network.switchInterfaces;
    const once = ['-c', '1', '-t', '1'];
    const exceeded = 'Time to live exceeded';
    expect(ping(network.client, VIRTUAL, once).text).toContain(`From ${external.address}`);
    expect(ping(network.client, VIRTUAL, once).text).toContain(exceeded);
    expect(ping(host, network.client.address, once).text).toContain(`From ${internal.address}`);
    expect(ping(host, '203.0.113.9', ['-c', '1']).text).toContain('Destination Net Unreachable');
    // A closed port of UDP: the kernel's own error, translated, must reach the program that asked.
    for (const [from, to] of [
      [network.client, VIRTUAL],
      [host, network.client.address],
    ] as const) {
      const script = `const s = require('node:dgram').createSocket('udp4');
        s.connect(9999, '${to}', () => { s.send('?'); setTimeout(() => s.send('?'), 300); });
        s.on('error', ({ code }) => { console.log(code); process.exit(0); });
        setTimeout(() => process.exit(1), 3000);`;
      const { namespace } = from;
      const { stdout } = execute(process.execPath, ['-e', script], { namespace, mayFail: true });
      expect(stdout.trim(), `to ${to}`).toBe('ECONNREFUSED');
    }
  });

  it('a link with a smaller MTU is told of, in both directions', async () => {
    const [external, internal] = network.switchInterfaces;
    const setMtu = async (name: string, index: number, mtu: number) => {
      ipBatch([`link set ${name} mtu ${mtu}`], network.switchNamespace);
      const isKnown = async () => (await weir.status()).interfaces[index].mtu === mtu;
      await waitUntil('weir knows the MTU', isKnown);
    };
    const long = ['-M', 'do', '-s', '1450', '-c', '2'];
    const told = /[Ff]rag needed|message too long, mtu.1400/;
    await setMtu(internal.name, 1, 1400);
    expect(ping(network.client, VIRTUAL, long).text).toMatch(told);
    await setMtu(internal.name, 1, 1500);
    await setMtu(external.name, 0, 1400);
    expect(ping(host, network.client.address, long).text).toMatch(told);
    await setMtu(external.name, 0, 1500);
    for (const { namespace } of [host, network.client]) {
      execute('ip', ['route', 'flush', 'cache'], { namespace });
    }
  });

  it('what is forged, damaged or made to confuse goes no further', async () => {
    const [external] = network.switchInterfaces;
    const { client } = network;
    const from = (ip: Ipv4Spec) =>
      packet()
        .ethernet({ source: macAddress(client.address), destination: external.macAddress })
        .ipv4({ source: client.address, destination: VIRTUAL, ...ip });
    const before = await reasonsNow();
    const error = { type: 3, code: 1 };
    const about = packet().ipv4({ source: '10.1.0.77', destination: client.address }).udp();
    await sendFrames(client, [
      from({ source: host.address })
        .tcp({ destinationPort: 80, flags: ['SYN'] })
        .padTo(60)
        .bytes(),
      from({ source: VIRTUAL })
        .tcp({ destinationPort: 80, flags: ['SYN'] })
        .padTo(60)
        .bytes(),
      from({ headerChecksum: 1 }).udp().padTo(60).bytes(),
      from({ protocol: 6, moreFragments: true }).payload('8 bytes!').padTo(60).bytes(),
      from({})
        .icmp({ ...error, embedded: about })
        .bytes(),
      from({})
        .icmp({ ...error, embedded: about, checksum: 1 })
        .bytes(),
    ]);
    const wanted = { 'bad-ip-source': 2, 'bad-ip-checksum': 1, fragment: 1, 'icmp-ignored': 1 };
    await waitUntil('they are counted', async () => {
      const now = await reasonsNow();
      return Object.entries(wanted).every(([name, more]) => now(name) >= before(name) + more);
    });
    expect((await reasonsNow())('bad-transport-checksum')).toBe(
      before('bad-transport-checksum') + 1,
    );
    expect(curl(client, `http://${VIRTUAL}/`).status).toBe(200);
  });

  it('large transfers, in both directions', async () => {
    const measure = (figure: string, args: string[] = []) => {
      const before = { cpu: cpuTimes(weir), at: performance.now() };
      const { bitsPerSecond, retransmits } = iperf3(network.client, VIRTUAL, 1, args);
      const cpu = cpuSince(weir, before.cpu, performance.now() - before.at);
      const gigabitsPerSecond = Number((bitsPerSecond / 1e9).toFixed(3));
      print(scenario, { figure, gigabitsPerSecond, retransmits, cpu });
      expect(bitsPerSecond).toBeGreaterThan(1e6);
    };
    measure('TCP to the host');
    measure('TCP from the host', ['--reverse']);
  });

  it('every packet is accounted for, and the status says what was translated', async () => {
    const status = await expectBalanced(weir);
    const { reasons } = status.totals;
    expect(status.controlHost).toBeNull();
    expect(status.controlInterface).toEqual({
      pairs: [
        {
          virtual: VIRTUAL,
          real: host.address,
          interface: network.switchInterfaces[1].name,
          mac: macAddress(host.address),
          state: expect.any(String),
        },
      ],
      toHost: { packets: reasons['to-control-interface'].count },
      fromHost: { packets: reasons['from-control-interface'].count },
    });
    expect(status.controlInterface.fromHost.packets).toBeGreaterThan(1000);
  });

  it('processes are killed, and pairs change by a reload: connections go on', async () => {
    const { client } = network;
    await underLoad({ client, virtualAddress: VIRTUAL }, CONNECTIONS, async (load) => {
      for (const role of ['switching 0', 'switching 1', 'control'] as const) {
        const old = weir.pid(role)!;
        const before = load.latest!.requests;
        weir.kill('SIGKILL', role);
        await weir.waitForRestart(role, old);
        await waitUntil('requests are answered', () => load.latest!.requests > before + 100);
      }
      await waitUntil('control answers', async () => (await weir.status())?.state === 'ready');
      const more = { virtual: '10.1.0.8', real: '10.2.0.8' };
      for (const all of [[...pairs(), more], pairs()]) {
        weir.writeConfig({ ...configuration, control: { via: 'interface', pairs: all } });
        expect((await weir.api('POST', '/v1/reload')).body).toMatchObject({ applied: true });
      }
      const before = load.latest!.requests;
      await waitUntil('requests are answered', () => load.latest!.requests > before + 100);
    });
    await restAfterKills(weir, 2 * PROCESSORS);
  });
});
