// Connections whose backend is to give them up are ended at once, however silent their ends are: the kernels
// of clients and servers believe the resets that the switch sends of its own accord, even behind a
// firewall that lets only through what belongs to a connection by its sequence numbers.

import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { execute, start, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const CONNECTIONS = 20;
/** The most that a busy machine may need; it is over within a second otherwise. */
const DEADLINE_MS = 15_000;

/** Answers every line with it, and says nothing else. */
const SERVER = `
  const { createServer } = require('node:net');
  createServer((socket) => {
    socket.on('data', (data) => socket.write(data));
    socket.on('error', ({ code }) => console.log(code));
    socket.on('close', () => console.log('close'));
  }).listen(8080, () => console.log('listening'));`;

/** Opens connections, has each carry a line to and fro, then waits in silence. */
const client = (host: string, count: number) => `
  const { connect } = require('node:net');
  for (let i = 0; i < ${count}; i++) {
    const socket = connect(80, '${host}', () => socket.write('hello'));
    socket.once('data', () => console.log('answered'));
    socket.on('error', ({ code }) => console.log(code));
    socket.on('close', () => console.log('close'));
    socket.on('end', () => console.log('end'));
  }`;

/** Drops what connection tracking finds not to belong to a connection, as most firewalls do. */
const FIREWALL = `table ip guard {
  chain input {
    type filter hook input priority 0; policy accept;
    ct state invalid counter drop
  }
}\n`;

/** A Node program on a host, and the lines that it writes. */
function run(host: LabHost, program: string) {
  const lines: string[] = [];
  const { namespace } = host;
  const process = start(globalThis.process.execPath, ['-e', program], {
    namespace,
    pipeOutput: true,
  });
  createInterface({ input: process.child.stdout! }).on('line', (line) => lines.push(line));
  const count = (text: string) => lines.filter((line) => line === text).length;
  return { lines, count, process };
}

describeOnBestKind('endings', ['nft'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, queues: 2 });
    const [first, second] = network.servers;
    for (const host of [network.client, first]) {
      execute('nft', ['-f', '-'], { namespace: host.namespace, input: FIREWALL });
    }
    const address = network.virtualAddress;
    const backends = [
      { name: 'b1', address: first.address, port: 8080 },
      { name: 'b2', address: second.address, port: 8080, weight: 0 },
    ];
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const options = { kind, processors: 2, services };
    weir = await WeirProcess.start(network.switchNamespace, switchConfiguration(network, options));
  });
  afterAll(() => cleanAll());

  it('are noticed at once by clients and servers that say nothing', async () => {
    const server = run(network.servers[0], SERVER);
    await waitUntil('the server listens', () => server.count('listening') === 1);
    const clients = run(network.client, client(network.virtualAddress, CONNECTIONS));
    await waitUntil('all are answered', () => clients.count('answered') === CONNECTIONS);
    // Acknowledgments may be delayed by 200 ms; then everybody is silent.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await weir.status()).connections).toMatchObject({ live: CONNECTIONS, ended: 0 });
    expect(clients.count('close') + server.count('close')).toBe(0);

    const begun = performance.now();
    const drain = { deadlineSeconds: 0, atDeadline: 'reset' };
    const { status, body } = await weir.api('POST', '/v1/backends/web/b1/drain', drain);
    expect(status, JSON.stringify(body)).toBe(200);
    const all = () =>
      clients.count('ECONNRESET') === CONNECTIONS && server.count('ECONNRESET') === CONNECTIONS;
    await waitUntil('both ends have learned of it', all, DEADLINE_MS, () =>
      JSON.stringify([clients.lines.slice(CONNECTIONS), server.lines]),
    );
    print(`endings on ${kind}`, {
      connections: CONNECTIONS,
      toldAfterMs: Math.round(performance.now() - begun),
    });
    expect(clients.count('end') + server.count('end')).toBe(0);
    const { connections, totals } = await expectBalanced(weir);
    expect(connections).toMatchObject({ live: 0, ended: CONNECTIONS });
    // No end has asked back: what it got was exact.
    expect(totals.reasons['reset-unknown-connection']?.count ?? 0).toBe(0);
    await Promise.all([clients.process.stop(), server.process.stop()]);
  });
});
