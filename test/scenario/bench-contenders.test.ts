// Every contender of the benchmarks carries real requests from the client to the servers, over TCP and
// UDP, from the moment at which it says that it is ready; and the network is afterwards as it was.

import { execPath } from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BenchNetwork } from '../../bench/side-by-side/bench-network.ts';
import type { Contender, TransportProtocol, Wanted } from '../../bench/side-by-side/contender.ts';
import { CONTENDERS } from '../../bench/side-by-side/contenders.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { execute, start } from '../../src/lab/command.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { onlineCpus } from '../../src/sys/affinity.ts';

const TCP_PORT = 8080;
const UDP_PORT = 7000;
const REQUESTS = 4;

const reason = skipReason({ programs: ['ip', 'ethtool', 'chrt', 'taskset', 'curl'], bpf: true });
if (reason !== undefined) process.stdout.write(`contenders: skipped: ${reason}\n`);

/** Answers each datagram with its argument. */
const ECHO = `const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (_, { port, address }) => socket.send(process.argv[1], port, address));
socket.bind(${UDP_PORT});`;

/** Sends a datagram from a new socket for each request, and prints the answers. */
const ASK = `const { createSocket } = require('node:dgram');
setTimeout(() => process.exit(1), 3000);
let left = ${REQUESTS};
for (let i = 0; i < ${REQUESTS}; i += 1) {
  const socket = createSocket('udp4');
  socket.on('message', (answer) => {
    console.log(String(answer));
    socket.close();
    if ((left -= 1) === 0) process.exit(0);
  });
  socket.send('?', ${UDP_PORT}, process.argv[1]);
}`;

describe.skipIf(reason !== undefined)('contenders', () => {
  let network: BenchNetwork;

  beforeAll(async () => {
    network = new BenchNetwork({ servers: 2 });
    for (const server of network.servers) {
      await startWebServer(server, { port: TCP_PORT });
      start(execPath, ['-e', ECHO, server.name], { namespace: server.namespace });
    }
  });
  afterAll(cleanAll);

  function ask(protocol: TransportProtocol, address: string): string[] {
    const { namespace } = network.client;
    if (protocol === 'udp') {
      const { stdout } = execute(execPath, ['-e', ASK, address], { namespace, mayFail: true });
      return stdout.trim().split('\n');
    }
    const url = `http://${address}:${TCP_PORT}/`;
    return Array.from({ length: REQUESTS }, () => {
      const args = ['--silent', '--max-time', '3', url];
      return execute('curl', args, { namespace, mayFail: true }).stdout.trim();
    });
  }

  function addresses(): string {
    return execute('ip', ['-oneline', 'address'], { namespace: network.switchNamespace }).stdout;
  }

  const cases = CONTENDERS.flatMap((contender) =>
    contender.protocols.map((protocol) => ({ contender, protocol, name: contender.name })),
  );

  async function serve({ start: begin }: Contender, wanted: Wanted): Promise<string[]> {
    network.forgetNeighbors();
    const running = await begin(network, wanted);
    try {
      return ask(wanted.protocol, running.target.address);
    } finally {
      await running.stop();
    }
  }

  it.each(cases)('$name carries $protocol', async ({ contender, protocol, name }) => {
    const missing = contender.unavailable();
    if (missing !== undefined) {
      process.stdout.write(`${name}: skipped: ${missing}\n`);
      return;
    }
    const before = addresses();
    const answers = await serve(contender, {
      protocol,
      port: protocol === 'udp' ? UDP_PORT : TCP_PORT,
      backends: 2,
      connections: 1024,
      processors: 1,
      cpus: [onlineCpus().at(-1)!],
      idle: 'adaptive',
    });
    // These two know one server only; the others take them in turn.
    const isAlone = name === 'direct' || name === 'xdp-redirect';
    const expected = isAlone ? ['b1', 'b1', 'b1', 'b1'] : ['b1', 'b1', 'b2', 'b2'];
    expect(answers.sort()).toEqual(expected);
    expect(addresses()).toBe(before);
  });
});
