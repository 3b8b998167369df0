// TCP connections that are opened, kept and never used: a process of its own in a namespace of the lab,
// as the server that accepts them or as the client that opens them. Run as
//   idle-connections.js listen PORT
//   idle-connections.js connect ADDRESS PORT COUNT
// Writes one JSON line when it listens, or when all connections are open, and keeps them until it is ended.

import { connect, createServer, type Socket } from 'node:net';
import { argv, stdout } from 'node:process';

const BACKLOG = 4096;
/** Opened at once: as many as any server's queue takes. */
const AT_ONCE = 64;

function listen(port: number): void {
  const server = createServer((socket) => socket.on('error', () => {}));
  server.listen({ port, backlog: BACKLOG }, () => stdout.write('{"ready":true}\n'));
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

async function openAll(host: string, port: number, count: number): Promise<void> {
  for (let opened = 0; opened < count; opened += AT_ONCE) {
    const now = Math.min(AT_ONCE, count - opened);
    await Promise.all(Array.from({ length: now }, () => open(host, port)));
  }
  stdout.write(`${JSON.stringify({ open: count })}\n`);
}

const [role, ...rest] = argv.slice(2);
if (role === 'listen') listen(Number(rest[0]));
else await openAll(rest[0], Number(rest[1]), Number(rest[2]));
