// The smallest supervisor for the scenario of AF_XDP: makes main memory, opens two interfaces, and
// starts, kills and stops the forwarder (af-xdp-forwarder.ts) as it is told by lines on its standard
// input: `start`, `kill`, `stop`, `close`, `watch` (report links that go), `reopen`. It prints what it opened, what the forwarder prints, and
// one line per command when it is done.

import { type ChildProcess, spawn } from 'node:child_process';
import { argv, execPath, exit, stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WeirError } from '../../src/base/errors.ts';
import { computeLayout } from '../../src/memory/layout.ts';
import { formatMainMemory } from '../../src/memory/region.ts';
import { type AfXdpMode, AfXdpOpener } from '../../src/netif/af-xdp/open.ts';
import { attachMemoryFile, createMemoryFile } from '../../src/sys/main-memory.ts';
import { watchLinks } from '../../src/sys/netlink.ts';

const RING = 256;
const [modes, ...names] = argv.slice(2);
const sizes = { connections: 1024, frames: 1024, processors: 1 };
const layout = computeLayout(sizes);
const forwarderPath = fileURLToPath(new URL('./af-xdp-forwarder.js', import.meta.url));

function report(values: Record<string, unknown>): void {
  stdout.write(`${JSON.stringify(values)}\n`);
}

const file = createMemoryFile('weir-scenario', layout.totalSize);
const range = attachMemoryFile(file.fd, layout.totalSize);
formatMainMemory(range.buffer, sizes);
const opener = new AfXdpOpener(range, layout);
const ringSizes = { fill: RING, completion: RING, receive: RING, transmit: RING };

function openAll() {
  try {
    return names.map((name) =>
      opener.open({ name, ringSizes, modes: modes.split(',') as AfXdpMode[] }),
    );
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    report({ code: error.code, message: error.message });
    exit(1);
  }
}

let interfaces = openAll();
report({
  opened: interfaces.map(({ name, mode, refused, sockets }) => ({
    name,
    mode,
    refused,
    queues: sockets.length,
  })),
});
let fds = interfaces.map(({ sockets }) => sockets[0].fileDescriptor);
let forwarder: ChildProcess | undefined;

function start(): void {
  const args = [forwarderPath, String(layout.totalSize), String(RING)];
  const stdio = ['ignore', 'inherit', 'inherit', file.fd, ...fds] as const;
  forwarder = spawn(execPath, args, { stdio: [...stdio] });
}

function end(signal: NodeJS.Signals): void {
  forwarder?.once('exit', () => report({ ended: signal }));
  forwarder?.kill(signal);
}

createInterface({ input: stdin })
  .on('line', (line) => {
    if (line === 'start') start();
    else if (line === 'kill') end('SIGKILL');
    else if (line === 'stop') end('SIGTERM');
    else if (line === 'watch') {
      const lost = () => report({ lost: true });
      watchLinks(({ name, gone }) => gone && report({ gone: name }), lost);
      report({ watching: true });
    } else if (line === 'reopen') {
      // Only the first: the second goes on with the socket that it has.
      interfaces[0].close();
      const ringsAsBefore = { ringSizes, modes: modes.split(',') as AfXdpMode[] };
      interfaces = [opener.open({ name: names[0], ...ringsAsBefore }), interfaces[1]];
      fds = interfaces.map(({ sockets }) => sockets[0].fileDescriptor);
      report({ reopened: names[0] });
    } else if (line === 'close') {
      for (const opened of interfaces) opened.close();
      report({ closed: interfaces.length });
    }
  })
  .on('close', () => {
    forwarder?.kill('SIGKILL');
    exit(0);
  });
