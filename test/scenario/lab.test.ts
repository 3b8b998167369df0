// The lab itself, without the switch: the hosts are where they should be, the servers and clients are
// real, nobody gets across without weir, and nothing is left behind, neither by a run that ends well
// nor by one that is ended by a signal or killed.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { macAddress } from '../../src/lab/addressing.ts';
import { badChecksums, countPackets, readFields, startCapture } from '../../src/lab/capture.ts';
import {
  cleanAll,
  clearLeftovers,
  isAlive,
  labFolders,
  labNamespaces,
  makeScratchFolder,
  processesIn,
} from '../../src/lab/clean-up.ts';
import { curl, dig, HttpLoad, iperf3, wrk } from '../../src/lab/clients.ts';
import { execute, topFolder } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import {
  startDnsServer,
  startIperf3,
  startNginx,
  startNodeWebServer,
  startWebServer,
} from '../../src/lab/servers.ts';

const programs = [
  'nginx',
  'curl',
  'wrk',
  'dnsmasq',
  'dig',
  'iperf3',
  'tcpdump',
  'tshark',
  'ethtool',
];
const reason = skipReason({ programs });
if (reason !== undefined) process.stdout.write(`lab.test.ts is skipped: ${reason}\n`);

function bearing(pid: number | undefined) {
  return {
    namespaces: labNamespaces().filter((name) => name.startsWith(`weir-${pid}-`)),
    folders: labFolders().filter((path) => path.includes(`/weir-lab-${pid}-`)),
  };
}

describe.skipIf(reason !== undefined)('the lab', () => {
  let network: LabNetwork;

  beforeAll(() => {
    network = new LabNetwork({ backends: 2 });
  });

  afterEach((context) => {
    if (context.task.result?.state === 'fail') process.stdout.write(`${network.namespaces}\n`);
  });

  afterAll(() => cleanAll());

  it('gives the switch interfaces without addresses, and hosts without offloads', () => {
    const list = execute('ip', ['-n', network.switchNamespace, '-j', 'addr']).stdout;
    const found = JSON.parse(list).map((link: { ifname: string; addr_info: unknown[] }) => [
      link.ifname,
      link.addr_info.length,
    ]);
    expect(Object.fromEntries(found)).toEqual({ lo: 1, ext0: 0, int0: 0 });
    const features = network.run(network.client, 'ethtool', ['-k', 'eth0']).stdout;
    expect(features).toContain('tx-checksumming: off');
    expect(features).toContain('tcp-segmentation-offload: off');
    expect(features).toContain('generic-receive-offload: off');
    expect(existsSync(`/run/netns/${network.switchNamespace}`)).toBe(true);
  });

  it('gives the kernel of the switch an interface of its own, and no part of the others', async () => {
    const managed = new LabNetwork({ backends: 1, management: true });
    const [b1] = managed.servers;
    const server = await startNginx(b1);
    const address = managed.managementAddress!;
    const control = { ...b1, namespace: managed.switchNamespace };
    expect(curl(control, `http://${b1.address}/`).body).toBe('b1\n');
    // Were int0 to answer for the address as well, there would be two answers to one question.
    managed.run(b1, 'ip', ['neighbor', 'flush', 'all']);
    const capture = await startCapture(b1.namespace, 'eth0', 'arp');
    expect(curl(b1, `http://${address}/`).exitCode).toBe(7);
    await capture.stop();
    const answers = readFields(capture.file, ['arp.src.hw_mac'], `arp.src.proto_ipv4==${address}`);
    expect(answers).toEqual([[macAddress(address)]]);
    await server.stop();
    managed.remove();
  });

  it('serves web pages inside the server side, and nobody outside gets there', async () => {
    const [b1, b2] = network.servers;
    const server = await startNginx(b1);
    const answer = curl(b2, `http://${b1.address}/`);
    expect(answer).toMatchObject({ exitCode: 0, status: 200, body: 'b1\n' });
    expect(answer.headers['x-backend']).toBe('b1');
    expect(curl(b2, `http://${b1.address}/health`).body).toBe('ok\n');
    // 28: timeout; 7: no way there. There is no switch.
    expect([7, 28]).toContain(curl(network.client, `http://${b1.address}/`, [], 1).exitCode);
    expect([7, 28]).toContain(
      curl(network.client, `http://${network.virtualAddress}/`, [], 1).exitCode,
    );
    await server.stop();
    expect(curl(b2, `http://${b1.address}/`).exitCode).toBe(7);
  });

  it('serves files and takes uploads, byte by byte', async () => {
    const [b1, b2] = network.servers;
    const folder = makeScratchFolder('files');
    const content = Buffer.alloc(3_000_000, 'abcdefg');
    const sha256 = createHash('sha256').update(content).digest('hex');
    mkdirSync(join(folder, 'served'));
    writeFileSync(join(folder, 'big'), content);
    const served = join(folder, 'served');
    const nginx = await startNginx(b1, { port: 81, folder: served, upload: true });
    const node = await startNodeWebServer(b1, { port: 82, folder: served });
    const upload = ['-T', join(folder, 'big')];
    expect(curl(b2, `http://${b1.address}:81/files/big`, upload).status).toBe(201);
    expect(readFileSync(join(served, 'big')).equals(content)).toBe(true);
    const heard = JSON.parse(curl(b2, `http://${b1.address}:82/`, upload).body);
    expect(heard).toEqual({ server: 'b1', length: content.length, sha256 });
    for (const port of [81, 82]) {
      const out = join(folder, `from-${port}`);
      const args = ['--silent', '-o', out, `http://${b1.address}:${port}/files/big`];
      network.run(b2, 'curl', args);
      expect(readFileSync(out).equals(content)).toBe(true);
    }
    await nginx.stop();
    await node.stop();
  });

  it('answers DNS questions, also those whose answer does not come', async () => {
    const [b1, b2] = network.servers;
    const server = await startDnsServer(b1, { 'one.lab': '192.0.2.1', 'two.lab': '192.0.2.2' });
    expect(dig(b2, b1.address, ['one.lab', 'none.lab', 'two.lab'])).toEqual([
      { name: 'one.lab', status: 'NOERROR', answers: ['192.0.2.1'] },
      { name: 'none.lab', status: 'NXDOMAIN', answers: [] },
      { name: 'two.lab', status: 'NOERROR', answers: ['192.0.2.2'] },
    ]);
    const text = { type: 'TXT', tcp: true };
    expect(dig(b2, b1.address, ['server.lab'], text)[0].answers).toEqual(['b1']);
    await server.stop();
    const silent = dig(b2, b1.address, ['one.lab'], { timeoutSeconds: 1 });
    expect(silent[0].status).toBe('NO ANSWER');
  });

  it('measures with wrk and iperf3', async () => {
    const [b1, b2] = network.servers;
    const web = await startWebServer(b1, { port: 83 });
    const result = wrk(b2, `http://${b1.address}:83/`, { seconds: 1, connections: 4 });
    expect(result.requests).toBeGreaterThan(0);
    expect(result.badAnswers).toBe(0);
    expect(result.socketErrors).toEqual({ connect: 0, read: 0, write: 0, timeout: 0 });
    await web.stop();
    const server = await startIperf3(b1);
    expect(iperf3(b2, b1.address, 1, ['-b', '20M']).bytes).toBeGreaterThan(100_000);
    await server.stop();
  });

  it('sees good and bad checksums in a capture', async () => {
    const [b1, b2] = network.servers;
    const web = await startWebServer(b1, { port: 84 });
    const capture = await startCapture(b1.namespace, 'eth0', 'tcp port 84');
    curl(b2, `http://${b1.address}:84/`);
    await capture.stop();
    expect(capture.dropped).toBe(0);
    expect(countPackets(capture.file, 'http.request')).toBe(1);
    expect(badChecksums(capture.file)).toEqual([]);
    // The same with the checksum left to a network card that does not exist, seen at the sender.
    network.run(b2, 'ethtool', ['-K', 'eth0', 'tx', 'on']);
    const careless = await startCapture(b2.namespace, 'eth0', 'tcp port 84');
    curl(b2, `http://${b1.address}:84/`);
    await careless.stop();
    network.run(b2, 'ethtool', ['-K', 'eth0', 'tx', 'off']);
    expect(badChecksums(careless.file).length).toBeGreaterThan(0);
    await web.stop();
  });

  describe('the load client', () => {
    it('counts every request and finds nothing wrong where nothing is', async () => {
      const [b1, b2] = network.servers;
      const web = await startWebServer(b1, { port: 85 });
      const options = { host: b1.address, port: 85, connections: 20, requests: 500 };
      for (const mode of ['keep-alive', 'new'] as const) {
        const report = await new HttpLoad(b2, { ...options, mode }).finished();
        expect(report).toMatchObject({
          final: true,
          open: 0,
          connectionsOpened: mode === 'new' ? 500 : 20,
          brokenConnections: 0,
          connectErrors: 0,
          requests: 500,
          failedRequests: 0,
          perServer: { b1: 500 },
        });
      }
      await web.stop();
    });

    it('counts every connection that a killed server breaks', async () => {
      const [b1, b2] = network.servers;
      const web = await startWebServer(b1, { port: 86 });
      const options = { host: b1.address, port: 86, connections: 30, pauseMs: 20, intervalMs: 50 };
      const allOpen = new Promise<void>((resolve) => {
        const load = new HttpLoad(b2, options, (report) => report.open === 30 && resolve());
        loads.push(load);
      });
      await allOpen;
      for (const pid of processesIn(b1.namespace)) process.kill(pid, 'SIGKILL');
      await web.process.exited;
      const refused = () => (loads[0].latest?.connectErrors ?? 0) > 0;
      while (!refused()) await new Promise((resolve) => setTimeout(resolve, 20));
      const report = await loads[0].stop();
      expect(report.brokenConnections).toBe(30);
      expect(report.failures['connect ECONNREFUSED']).toBe(report.connectErrors);
      expect(report.movedConnections).toBe(0);
    });
    const loads: HttpLoad[] = [];
  });

  it('lets servers answer clients directly, and keeps quiet about the virtual address', async () => {
    const direct = new LabNetwork({ backends: 2, clients: 2, channels: 2, queues: 2, dsr: true });
    const [b1] = direct.servers;
    const web = await startWebServer(b1);
    expect(curl(direct.clients[1], `http://${b1.directAddress}/`).body).toBe('b1\n');
    // A refused connection would do no good here: it comes from a server that has answered ARP.
    curl(direct.client, `http://${direct.virtualAddress}/`, [], 1);
    const seen = direct.run(direct.client, 'ip', ['neigh', 'show', direct.virtualAddress]).stdout;
    expect(seen).toMatch(/INCOMPLETE|FAILED/);
    expect(seen).not.toContain('lladdr');
    // The switch would do this: send it to the server's MAC address, the virtual address unchanged.
    const server = execute('cat', ['/sys/class/net/direct0/address'], { namespace: b1.namespace });
    const neighbor = ['neigh', 'replace', direct.virtualAddress, 'lladdr', server.stdout.trim()];
    direct.run(direct.client, 'ip', [...neighbor, 'dev', 'eth0']);
    expect(curl(direct.client, `http://${direct.virtualAddress}/`).body).toBe('b1\n');
    const queues = execute('ls', ['/sys/class/net/ext1/queues'], {
      namespace: direct.switchNamespace,
    });
    expect(queues.stdout.split('\n').filter(Boolean)).toEqual(['rx-0', 'rx-1', 'tx-0', 'tx-1']);
    await web.stop();
    direct.remove();
  });

  it('leaves nothing behind', async () => {
    await startWebServer(network.servers[1]);
    const pids = network.namespaces.flatMap((name) => processesIn(name));
    expect(pids.length).toBeGreaterThan(0);
    expect(bearing(process.pid).namespaces.length).toBe(network.namespaces.length);
    cleanAll();
    expect(bearing(process.pid)).toEqual({ namespaces: [], folders: [] });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pids.filter(isAlive)).toEqual([]);
  });
});

/** Another process that builds a lab, starts a server in it, says so, and waits. */
async function otherLab() {
  const folder = join(topFolder(), 'dist', 'src', 'lab');
  const script = `
    import { LabNetwork } from '${folder}/network.js';
    import { startWebServer } from '${folder}/servers.js';
    const network = new LabNetwork({ backends: 1 });
    const server = await startWebServer(network.servers[0]);
    console.log(server.process.pid);
    setInterval(() => {}, 1000);`;
  const args = ['--input-type=module', '--eval', script];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const serverPid = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (text: Buffer) => resolve(Number(text.toString())));
    child.once('exit', () => reject(new Error('the other lab did not come up')));
  });
  return { child, exited, serverPid };
}

describe.skipIf(reason !== undefined)('what a lab leaves', () => {
  it('is nothing after a signal', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { child, exited, serverPid } = await otherLab();
      expect(bearing(child.pid).namespaces.length).toBe(4);
      child.kill(signal);
      await exited;
      expect(child.signalCode).toBe(signal);
      expect(bearing(child.pid)).toEqual({ namespaces: [], folders: [] });
      expect(isAlive(serverPid)).toBe(false);
    }
  });

  it('is cleared by the next one after a kill, and only then', async () => {
    const alive = await otherLab();
    const killed = await otherLab();
    killed.child.kill('SIGKILL');
    await killed.exited;
    const left = bearing(killed.child.pid);
    expect(left.namespaces.length).toBe(4);
    expect(left.folders.length).toBe(1);
    expect(isAlive(killed.serverPid)).toBe(true);
    const removed = clearLeftovers();
    expect(removed.namespaces).toEqual(expect.arrayContaining(left.namespaces));
    expect(removed.folders).toEqual(expect.arrayContaining(left.folders));
    expect(removed.processes).toContain(killed.serverPid);
    expect(bearing(killed.child.pid)).toEqual({ namespaces: [], folders: [] });
    expect(bearing(alive.child.pid).namespaces.length).toBe(4);
    expect(isAlive(alive.serverPid)).toBe(true);
    alive.child.kill('SIGTERM');
    await alive.exited;
  });
});
