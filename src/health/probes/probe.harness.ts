// For the tests of probes: asks a server once as a monitor would, and real servers to ask. Addresses
// are 127.0.0.x; ports are those that the kernel gives.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DEFAULT_HEALTH, type HealthSettings } from '../settings.ts';
import { startProbe } from './by-type.ts';
import type { ProbeResult } from './probe.ts';

/** One check, with the timeout kept as the monitor keeps it. */
export function ask(
  settings: Partial<HealthSettings>,
  port: number,
  address = '127.0.0.1',
): Promise<ProbeResult & { durationMs: number }> {
  const whole = { ...DEFAULT_HEALTH, ...settings };
  const begin = performance.now();
  return new Promise((resolve) => {
    let results = 0;
    const end = (result: ProbeResult): void => {
      expect(++results, 'a probe finishes once').toBe(1);
      clearTimeout(timer);
      resolve({ ...result, durationMs: performance.now() - begin });
    };
    const target = { key: 'web/b1', address, port, settings: whole };
    const probe = startProbe(target, end);
    const timer = setTimeout(() => {
      const result = probe.expire();
      void probe.cancel();
      end(result);
    }, whole.timeoutMs);
  });
}

export interface RawServer {
  readonly port: number;
  /** Connections that are open now. */
  readonly open: Set<Socket>;
  close(): Promise<void>;
}

/** A TCP server whose connections are handled by `handle`. */
export function rawServer(
  handle: (socket: Socket) => void,
  address = '127.0.0.1',
  wantedPort = 0,
): Promise<RawServer> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    handle(socket);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen({ port: wantedPort, host: address, backlog: 4_096 }, () => {
      const { port } = server.address() as { port: number };
      resolve({
        port,
        open,
        close: () =>
          new Promise((done) => {
            for (const socket of open) socket.destroy();
            server.close(() => done());
          }),
      });
    });
  });
}

/** Answers every request with the same bytes, whatever it was, and closes. */
export function cannedServer(bytes: Uint8Array | string): Promise<RawServer> {
  return rawServer((socket) => {
    socket.once('data', () => socket.end(bytes));
  });
}

/** A port of 127.0.0.1 that nothing listens on. */
export async function closedPort(): Promise<number> {
  const server = await rawServer(() => {});
  await server.close();
  return server.port;
}

/** A server that accepts nothing more: connections to it hang, as to a black hole. */
export async function fullServer(): Promise<{ port: number; close(): void }> {
  // The kernel completes connections until the backlog is full; this program never accepts them.
  const program = `
    const { createServer } = require('node:net');
    const server = createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      process.stdout.write(server.address().port + '\\n', () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });
    });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve) => {
    child.stdout.once('data', (chunk) => resolve(Number(String(chunk))));
  });
  const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1'));
  for (const filler of fillers) filler.on('error', () => {});
  await until(() => fillers.filter((filler) => !filler.connecting).length >= 2);
  return {
    port,
    close() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
    },
  };
}

/** Waits for a condition; the deadline is generous, as the machine may be busy. */
export async function until(condition: () => boolean, deadlineMs = 20_000): Promise<void> {
  const begin = performance.now();
  while (!condition()) {
    if (performance.now() - begin > deadlineMs)
      throw new Error(`not within ${deadlineMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The path of a program of Debian, or undefined with the reason printed. */
export function program(name: string): string | undefined {
  const path = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']
    .map((d) => join(d, name))
    .find(existsSync);
  if (path === undefined) console.warn(`skipped: ${name} is not installed`);
  return path;
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'weir-health-'));
}

/** A certificate for `name`, signed by itself, made now by openssl. */
export function certificate(openssl: string, name: string): { key: string; cert: string } {
  const folder = temporaryFolder();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync(openssl, ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

/** Starts a server program and waits until it accepts TCP at a port of 127.0.0.1. */
export async function startProgram(
  path: string,
  parameters: readonly string[],
  port: number,
): Promise<ChildProcess> {
  const child = spawn(path, parameters, { stdio: ['ignore', 'ignore', 'inherit'] });
  let isOpen = false;
  const tryOnce = (): void => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      isOpen = true;
      socket.destroy();
    });
    socket.on('error', () => {
      if (child.exitCode === null) setTimeout(tryOnce, 20);
    });
  };
  tryOnce();
  await until(() => isOpen);
  return child;
}
