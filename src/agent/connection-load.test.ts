// Clients and new connections: the kernel's table as text, cut anywhere; then real connections of
// this process; then a table so long that it is not walked every time.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ConnectionLoad, parsePassiveOpens, parseSocketsInUse } from './connection-load.ts';
import { MAX_REMOTE_ENDS, SocketTable } from './socket-table.ts';

const HEADING =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n';

/** A line as the kernel writes it. */
function line(port: number, remote: string, state: string): string {
  const local = port.toString(16).toUpperCase().padStart(4, '0');
  const rest = '00000000:00000000 00:00000000 00000000  1000        0 1641 1 0000000015f80957';
  return `  12: 0100007F:${local} ${remote} ${state} ${rest}`.padEnd(149).concat('\n');
}

const TCP =
  HEADING +
  line(8080, '00000000:0000', '0A') +
  line(8080, '0100007F:C350', '01') +
  line(8080, '0100007F:C351', '01') +
  line(8080, '0100007F:C352', '06') +
  line(8080, '0100007F:C353', '08') +
  line(9090, '0100007F:C350', '01') +
  line(7, '0100007F:1F90', '01');
const TCP6 = `  sl  local_address                         remote_address  st tx_queue\n${line(
  8080,
  '0000000000000000FFFF00000100007F:C350',
  '01',
).replace('0100007F:1F90', '0000000000000000FFFF00000100007F:1F90')}`;

function read(text: string, size: number): SocketTable {
  const table = new SocketTable([8080, 9090], true);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) table.push(bytes.subarray(at, at + size));
  table.endFile();
  return table;
}

describe('the table of sockets', () => {
  it('gives established connections by local port, however it is cut', () => {
    for (const size of [1, 7, 100, 4096, 100_000]) {
      const table = read(TCP, size);
      expect(table.sockets).toBe(7);
      expect(table.ports.get(8080)).toMatchObject({ established: 2 });
      expect(table.ports.get(8080)?.remoteEnds?.size).toBe(2);
      expect(table.ports.get(9090)?.established).toBe(1);
      expect(read(TCP6, size).ports.get(8080)?.established).toBe(1);
    }
  });

  it('gives nothing for what is no table, in bounded memory', () => {
    const table = new SocketTable([8080], true);
    for (let i = 0; i < 100; i++) table.push(Buffer.alloc(65_536, ':'));
    table.push(Buffer.from('\n1:2:3:4\n::::\n:\n\n'));
    expect(table.ports.get(8080)?.established).toBe(0);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(200e6);
  });

  it('keeps remote ends up to a bound, connections beyond it', () => {
    const table = new SocketTable([8080], true);
    for (let i = 0; i <= MAX_REMOTE_ENDS; i++) {
      const address = (i + 0x1000_0000).toString(16).toUpperCase();
      table.push(Buffer.from(line(8080, `${address}:0001`, '01')));
      if (i === MAX_REMOTE_ENDS - 1) {
        expect(table.ports.get(8080)?.remoteEnds?.size).toBe(MAX_REMOTE_ENDS);
      }
    }
    expect(table.ports.get(8080)).toEqual({
      established: MAX_REMOTE_ENDS + 1,
      remoteEnds: undefined,
    });
  });
});

describe('the kernel’s counts', () => {
  it('are found by name', () => {
    const snmp = 'Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens\nTcp: 200 5 77\n';
    expect(parsePassiveOpens(snmp)).toBe(77);
    expect(parsePassiveOpens('')).toBeUndefined();
    expect(parseSocketsInUse('sockets: used 9\nTCP: inuse 5 orphan 0 tw 3\n')).toBe(5);
    expect(parseSocketsInUse('TCP6: inuse 2\n')).toBe(2);
    expect(parseSocketsInUse('')).toBe(0);
  });
});

describe('connections of a real server', () => {
  const clients: Socket[] = [];
  const servers: Server[] = [];

  async function serve(): Promise<number> {
    const server = createServer((socket) => socket.on('error', () => undefined));
    servers.push(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return (server.address() as AddressInfo).port;
  }

  async function connectTo(port: number, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const client = connect(port, '127.0.0.1');
      clients.push(client);
      await new Promise<void>((done) => client.once('connect', done));
    }
    // Until the kernel has them established on the server's side.
    await sleep(50);
  }

  /** Samples until the table has been walked: where many other sockets are, that takes its time. */
  async function walk(load: ConnectionLoad): Promise<void> {
    const { walks } = load;
    while (load.walks === walks) {
      await load.sample();
      if (load.walks === walks) await sleep(20);
    }
  }

  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  it('are counted, and new ones too, for one port and for several', async () => {
    const [a, b] = [await serve(), await serve()];
    const options = { ownAccepted: () => 0, now: () => performance.now() };
    const began = performance.now();
    const one = new ConnectionLoad({ ports: [a], ...options });
    const two = new ConnectionLoad({ ports: [a, b], ...options });
    // More than any count of new ones below.
    await connectTo(a, 100);
    await walk(one);
    await walk(two);
    expect(one.figures(a).clients).toBe(100);
    expect(two.figures(a)).toEqual({ clients: 100 });
    expect(one.figures(b)).toEqual({});
    await connectTo(a, 20);
    await connectTo(b, 10);
    await sleep(500);
    await walk(one);
    await walk(two);
    const seconds = (performance.now() - began) / 1000;
    expect(one.figures(a).clients).toBe(120);
    expect(two.figures(a).clients).toBe(120);
    expect(two.figures(b).clients).toBe(10);
    expect(two.figures(a).connectionsPerSecond).toBeGreaterThan(20 / seconds);
    expect(two.figures(a).connectionsPerSecond).toBeLessThan(20 / 0.5);
    expect(two.figures(b).connectionsPerSecond).toBeGreaterThan(10 / seconds);
    expect(two.figures(b).connectionsPerSecond).toBeLessThan(10 / 0.5);
    // One port: all that this network namespace has accepted since the sample before.
    await connectTo(a, 50);
    await one.sample();
    expect(one.figures(a).connectionsPerSecond).toBeGreaterThan(0);
  });

  it('to the agent itself are taken off', async () => {
    const port = await serve();
    let own = 0;
    const options = { ports: [port], ownAccepted: () => own, now: () => performance.now() };
    const load = new ConnectionLoad(options);
    await load.sample();
    await connectTo(port, 30);
    own = 1e9;
    await load.sample();
    expect(load.figures(port).connectionsPerSecond).toBe(0);
  });
});

describe('a long table', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-sockets-'));
  const net = join(folder, 'net');

  it('is walked as seldom as it is dear, and scaled meanwhile', async () => {
    mkdirSync(net);
    const remote = (i: number) => `${(i + 0x1000_0000).toString(16).toUpperCase()}:0001`;
    const lines = Array.from({ length: 100_000 }, (_, i) => line(8080, remote(i), '01'));
    writeFileSync(join(net, 'tcp'), HEADING + lines.join(''));
    writeFileSync(join(net, 'sockstat'), 'TCP: inuse 100000 orphan 0\n');
    // A clock of its own: a read costs 0.1 ms, whatever this machine does.
    let nowMs = 0;
    const now = () => (nowMs += 0.05);
    const options = { ports: [8080], ownAccepted: () => 0, now, procFolder: folder };
    const load = new ConnectionLoad(options);
    await load.sample();
    const costMs = nowMs;
    expect(load.figures(8080).clients).toBe(100_000);
    expect(costMs).toBeGreaterThan(10);
    writeFileSync(join(net, 'sockstat'), 'TCP: inuse 50000 orphan 0\n');
    while (nowMs < costMs * 20) {
      nowMs += costMs / 2;
      await load.sample();
    }
    expect(load.walks).toBe(1);
    expect(load.figures(8080).clients).toBe(50_000);
    nowMs = costMs * 60;
    await load.sample();
    expect(load.walks).toBe(2);
    expect(load.figures(8080).clients).toBe(100_000);
    rmSync(folder, { recursive: true });
  });
});
