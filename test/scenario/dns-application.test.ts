// The name server on the switching processors (src/apps/dns), asked by real programs: dig, and dnsmasq and
// unbound as resolvers in front of it, with letters in changing case; backends that go down leave the answers;
// garbage does no harm. At the end its queries per second beside those of dnsmasq and unbound, which
// have the same names, in the same run, over the same cable.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { dig } from '../../src/lab/clients.ts';
import { execute, type LabProcess, start, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { type LabServer, startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const ADDRESS = '10.1.0.53';
const ZONE = 'example.org';
const QUERIES = 300;
const GARBAGE = 20_000;
const PERFORMANCE_SECONDS = 3;
const ROUNDS = 2;

const RECORDS = [
  { name: 'ns1', type: 'A', value: ADDRESS },
  { name: 'www', service: 'web', ttl: 1, ipv6: { b1: '2001:db8::11' } },
  { name: 'both', service: 'web', ttl: 1, answers: 2 },
  { name: 'fixed', type: 'A', value: ['192.0.2.1', '192.0.2.2'] },
  { name: 'alias', type: 'CNAME', value: 'fixed' },
  { name: '@', type: 'MX', value: '10 mail.example.net.' },
  { name: 'deep.down', type: 'TXT', value: 'found' },
  { name: 'large', type: 'TXT', value: ['a', 'b', 'c'].map((each) => each.repeat(240)) },
];

/** Datagrams of nothing in particular to port 53; written for Node. */
const GARBAGE_SENDER = `
const { createSocket } = require('node:dgram');
const [address, count] = [process.argv[1], Number(process.argv[2])];
const socket = createSocket('udp4');
let state = 7, sent = 0;
const byte = () => (state = (Math.imul(state, 1103515245) + 12345) | 0) >>> 24;
const more = () => {
  for (let i = 0; i < 100 && sent < count; i++, sent++) {
    const data = Buffer.from(Array.from({ length: byte() }, byte));
    if (data.length > 12 && sent % 2) data.set([0, 0, 0, 1, 0, 0, 0, 0, 0, byte() & 3], 2);
    socket.send(data, 53, address);
  }
  if (sent < count) setTimeout(more, 5);
  else setTimeout(() => process.exit(0), 200);
};
more();`;

/** dnsperf's figures. */
function measure(client: LabHost, server: string): { queriesPerSecond: number; lost: number } {
  const file = join(makeScratchFolder('dnsperf'), 'queries');
  writeFileSync(file, `fixed.${ZONE} A\nns1.${ZONE} A\nno.${ZONE} A\n`);
  const args = [
    '-s',
    server,
    '-d',
    file,
    '-l',
    String(PERFORMANCE_SECONDS),
    '-c',
    '8',
    '-q',
    '200',
  ];
  const { stdout } = execute('dnsperf', args, { namespace: client.namespace, timeoutMs: 60_000 });
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
  return {
    queriesPerSecond: Math.round(number(/Queries per second:\s+([\d.]+)/)),
    lost: number(/Queries lost:\s+(\d+)/),
  };
}

function unboundConfiguration(port: number, rest: string): string {
  return `server:
  interface: 0.0.0.0
  port: ${port}
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  pidfile: ""
  directory: "/tmp"
  use-syslog: no
  num-threads: 1
  do-ip6: no
  use-caps-for-id: yes
  qname-minimisation: yes
  module-config: "iterator"
${rest}
remote-control:
  control-enable: no
`;
}

function startUnbound(namespace: string, port: number, rest: string): LabProcess {
  const folder = makeScratchFolder('unbound');
  const file = join(folder, 'unbound.conf');
  writeFileSync(file, unboundConfiguration(port, rest));
  const logFile = join(folder, 'unbound.log');
  return start('unbound', ['-d', '-c', file], { namespace, logFile });
}

function startDnsmasq(namespace: string, port: number, lines: string[]): LabProcess {
  const folder = makeScratchFolder('dnsmasq');
  const file = join(folder, 'dnsmasq.conf');
  writeFileSync(file, [`port=${port}`, 'no-resolv', 'no-hosts', ...lines, ''].join('\n'));
  const logFile = join(folder, 'dnsmasq.log');
  return start('dnsmasq', ['--no-daemon', `--conf-file=${file}`], { namespace, logFile });
}

const PROGRAMS = ['nginx', 'dig', 'dnsmasq', 'unbound', 'dnsperf'];

describeOnBestKind('the name server', PROGRAMS, (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;
  let servers: LabServer[];

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, management: true });
    servers = await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
    const backends = network.servers.map(({ name, address }, i) => {
      return { name, address, port: 8080, weight: 2 - i };
    });
    const web = {
      name: 'web',
      address: network.virtualAddress,
      protocol: 'tcp',
      port: 80,
      backends,
    };
    const health = { type: 'tcp', interval: '200ms', timeout: '200ms', rise: 1, fall: 2 };
    const services = [{ ...web, health, 'panic-threshold': 0 }];
    const zones = [{ name: ZONE, ttl: 60, nameservers: ['ns1'], records: RECORDS }];
    const limit = { answers: 0 };
    const options = { address: ADDRESS, zones, 'rate-limit': limit };
    weir = await WeirProcess.start(network.switchNamespace, {
      ...switchConfiguration(network, { kind, services }),
      applications: [{ name: 'names', module: 'dns', addresses: [ADDRESS], options }],
    });
    await waitUntil('the name server answers', () => ask('ns1').status === 'NOERROR');
  });

  afterAll(() => cleanAll());

  const ask = (name: string, type = 'A', at = ADDRESS, port = 53) =>
    dig(network.client, at, [`${name}.${ZONE}`], { type, port, timeoutSeconds: 1 })[0];
  const digText = (...args: string[]): string => {
    const { namespace } = network.client;
    return execute('dig', [`@${ADDRESS}`, '+tries=1', ...args], { namespace, mayFail: true })
      .stdout;
  };

  it('answers dig as it should', () => {
    expect(ask('fixed').answers.sort()).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(ask('alias').answers).toEqual([`fixed.${ZONE}.`, '192.0.2.1', '192.0.2.2']);
    expect(ask('deep.down', 'TXT').answers).toEqual(['found']);
    expect(ask('down')).toMatchObject({ status: 'NOERROR', answers: [] });
    expect(ask('no').status).toBe('NXDOMAIN');
    expect(ask('www', 'AAAA').answers).toEqual(['2001:db8::11']);
    expect(digText('no.example.org', '+noall', '+authority')).toMatch(/SOA\s+ns1\.example\.org\./);
    expect(digText('example.com')).toContain('status: REFUSED');
    expect(digText('FiXed.eXample.ORG')).toMatch(
      /^;FiXed\.eXample\.ORG\.[\s\S]*^FiXed\.eXample\.ORG\./m,
    );
    expect(digText('example.org', 'ANY', '+notcp')).toMatch(/HINFO\s+"RFC8482"/);
    expect(digText('fixed.example.org')).toMatch(/flags: qr aa rd;.*\n[\s\S]*udp: 1232/);
    expect(digText('large.example.org', 'TXT', '+ignore', '+noedns')).toMatch(/flags: qr aa tc rd/);
    expect(digText('large.example.org', 'TXT', '+ignore')).toMatch(
      /flags: qr aa rd;[\s\S]*ANSWER: 3/,
    );
    expect(digText('fixed.example.org', '+edns=1', '+noednsnegotiation')).toContain('BADVERS');
    expect(digText('fixed.example.org', '+tcp')).not.toContain('ANSWER SECTION');
  });

  it('gives out backends by their weights, and none that is down', async () => {
    const counts = () => {
      const names = new Array<string>(QUERIES).fill(`www.${ZONE}`);
      const found: Record<string, number> = {};
      for (const { answers } of dig(network.client, ADDRESS, names)) {
        found[answers.join()] = (found[answers.join()] ?? 0) + 1;
      }
      return found;
    };
    const [one, two] = network.servers.map(({ address }) => address);
    expect(counts()).toEqual({ [one]: (QUERIES * 2) / 3, [two]: QUERIES / 3 });
    expect(new Set(ask('both').answers)).toEqual(new Set([one, two]));
    await servers[0].stop();
    await waitUntil('the dead backend is out', () => ask('both').answers.join() === two, 15_000);
    expect(counts()).toEqual({ [two]: QUERIES });
    expect(ask('www', 'AAAA').status).toBe('SERVFAIL');
    await servers[1].stop();
    await waitUntil('nobody is left', () => ask('www').status === 'SERVFAIL', 15_000);
    servers = await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
    await waitUntil('both are back', () => ask('both').answers.length === 2, 15_000);
  });

  it.each(['unbound', 'dnsmasq'])('%s resolves through it', async (program) => {
    const { namespace } = network.client;
    const port = program === 'unbound' ? 5301 : 5302;
    const resolver =
      program === 'unbound'
        ? startUnbound(namespace, port, `stub-zone:\n  name: "${ZONE}"\n  stub-addr: ${ADDRESS}\n`)
        : startDnsmasq(namespace, port, [`server=/${ZONE}/${ADDRESS}`]);
    const through = (name: string, type = 'A') => ask(name, type, '127.0.0.1', port);
    await waitUntil(
      `${program} answers`,
      () => through('fixed').answers.length === 2,
      15_000,
      () => resolver.log(),
    );
    expect(through('alias').answers).toContain('192.0.2.2');
    expect(through('deep.down', 'TXT').answers).toEqual(['found']);
    expect(through('no').status).toBe('NXDOMAIN');
    expect(through('fixed', 'AAAA')).toMatchObject({ status: 'NOERROR', answers: [] });
    expect(through('large', 'TXT').answers.length).toBe(3);
    const backends = network.servers.map(({ address }) => address);
    expect(backends).toContain(through('www').answers[0]);
    await resolver.stop();
  });

  it(`answers after ${GARBAGE} datagrams of garbage, and accounts for each`, async () => {
    const { namespace } = network.client;
    execute(process.execPath, ['-e', GARBAGE_SENDER, ADDRESS, String(GARBAGE)], {
      namespace,
      timeoutMs: 60_000,
    });
    expect(ask('fixed').answers.length).toBe(2);
    const { body } = await weir.api('GET', '/v1/applications');
    const { totals, state } = body.applications[0];
    print(`name server on ${kind}`, { packets: totals.packets, ...totals.counters });
    expect(state).toBe('running');
    expect(totals).toMatchObject({ exceptions: 0, failed: 0 });
    expect(totals.counters.malformed).toBeGreaterThan(1000);
    expect(totals.counters.ignored).toBeGreaterThan(1000);
    await expectBalanced(weir);
  });

  it('queries per second, beside dnsmasq and unbound', async () => {
    const figures: Record<string, number[]> = { weir: [], unbound: [], dnsmasq: [] };
    const lost: Record<string, number> = {};
    const others = new LabNetwork({ backends: 1 });
    const namespace = others.switchNamespace;
    const [{ name, address, prefixLength }] = others.switchInterfaces;
    execute('ip', ['addr', 'add', `${address}/${prefixLength}`, 'dev', name], { namespace });
    const data = ['192.0.2.1', '192.0.2.2'].map((a) => `  local-data: "fixed.${ZONE} A ${a}"\n`);
    const zone = `  local-zone: "${ZONE}." static\n${data.join('')}  local-data: "ns1.${ZONE} A ${ADDRESS}"\n`;
    const records = [`host-record=ns1.${ZONE},${ADDRESS}`, `local=/${ZONE}/`];
    for (const a of ['192.0.2.1', '192.0.2.2']) records.push(`host-record=fixed.${ZONE},${a}`);
    const run = (server: string, client: LabHost, at: string) => {
      const { queriesPerSecond, lost: gone } = measure(client, at);
      figures[server].push(queriesPerSecond);
      lost[server] = (lost[server] ?? 0) + gone;
    };
    for (let round = 0; round < ROUNDS; round++) {
      run('weir', network.client, ADDRESS);
      for (const server of ['unbound', 'dnsmasq']) {
        const process =
          server === 'unbound'
            ? startUnbound(namespace, 53, zone)
            : startDnsmasq(namespace, 53, records);
        const isUp = () => dig(others.client, address, [`ns1.${ZONE}`])[0].answers.length === 1;
        await waitUntil(`${server} answers`, isUp, 15_000, () => process.log());
        run(server, others.client, address);
        await process.stop();
      }
    }
    print(`name server on ${kind}: queries per second`, { ...figures, lost });
    for (const each of Object.values(figures).flat()) expect(each).toBeGreaterThan(0);
    const { body } = await weir.api('GET', '/v1/applications');
    const { packets, busyMicroseconds, overruns } = body.applications[0].totals;
    print(`name server on ${kind}`, {
      packets,
      microsecondsEach: busyMicroseconds / packets,
      overruns,
    });
    expect(body.applications[0].state).toBe('running');
    others.remove();
  });
});
