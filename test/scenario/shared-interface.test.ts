// A host's only interface, shared: the kernel's own web server and SSH server on its address, and weir's
// services beside them, on another address and on single ports of the same one. The kernel's traffic goes
// on whatever happens to weir: reloads under load, a killed supervisor, a kill of everything. Drivers are
// to be polled busily here, which a veth does not offer: it must do no harm, and be told.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callAdmin } from '../../src/control/admin-client.ts';
import { cleanAll, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad, wrk } from '../../src/lab/clients.ts';
import { execute, findProgram, start, topFolder, waitUntil } from '../../src/lab/command.ts';
import type { LoadReport } from '../../src/lab/http-load-report.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { sleep, startAgain } from '../support/killed-switch.ts';
import { print } from '../support/scenario.ts';
import {
  DIRECT_ADDRESS,
  HOST_ADDRESS,
  SERVICE_ADDRESS,
  SharedNetwork,
} from '../support/shared-network.ts';

const SSH_PORT = 22;
const KERNEL_PORT = 80;
/** Of the host's own address: weir's while a service has it, the kernel's otherwise. */
const CLAIMED_PORT = 8080;
const CONNECTIONS = 20;
const RELOADS = 6;

const programs = ['ip', 'ethtool', 'nginx', 'curl', 'wrk', 'sshd', 'ssh-keygen'];
const reason = skipReason({ programs, bpf: true });
if (reason !== undefined) process.stdout.write(`shared interface: skipped: ${reason}\n`);

describe.skipIf(reason !== undefined)('a shared interface', () => {
  let network: SharedNetwork;
  let weir: WeirProcess;
  let beforeWeir = 0;

  /** Requests per second of the kernel's own server. */
  function measure(address = HOST_ADDRESS): number {
    return Math.round(wrk(network.client, `http://${address}/`, { seconds: 1 }).requestsPerSecond);
  }

  beforeAll(async () => {
    network = new SharedNetwork(2);
    const { host, servers } = network;
    await startNginx(host, { port: KERNEL_PORT, morePorts: [CLAIMED_PORT] });
    for (const server of servers) await startNginx(server, { port: 80 });
    await startSshServer();
    beforeWeir = measure();
    weir = await WeirProcess.start(host.namespace, configuration(true));
  });

  afterAll(() => cleanAll());

  async function startSshServer(): Promise<void> {
    const folder = makeScratchFolder('sshd');
    const key = join(folder, 'key');
    execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    execute('mkdir', ['-p', '/run/sshd']);
    const options = ['-o', 'PidFile=none', '-o', 'UsePAM=no', '-h', key, '-p', String(SSH_PORT)];
    const { namespace } = network.host;
    const logFile = join(folder, 'sshd.log');
    start(findProgram('sshd')!, ['-D', '-e', '-f', '/dev/null', ...options], {
      namespace,
      logFile,
    });
    await waitUntil('sshd answers', () => sshKey() !== '');
  }

  /** The server's key, by a key exchange of SSH; '' when it does not answer. */
  function sshKey(): string {
    const { namespace } = network.client;
    const args = ['-T', '2', '-t', 'ed25519', '-p', String(SSH_PORT), HOST_ADDRESS];
    return execute('ssh-keyscan', args, { namespace, mayFail: true }).stdout.trim();
  }

  /** @param hasClaimedPort with the service on a port of the host's own address */
  function configuration(hasClaimedPort: boolean): object {
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 80 }));
    const direct = network.servers.map(({ name, address }) => ({ name, address }));
    const service = (name: string, address: string, port: number) => {
      return { name, address, protocol: 'tcp', port, backends };
    };
    return {
      interfaces: [
        { name: 'eth0', mode: 'shared', addresses: [`${HOST_ADDRESS}/24`], 'busy-poll': {} },
      ],
      processors: { switching: 2 },
      limits: { connections: 65_536, frames: 8192 },
      // For so long is a port claimed whose connections have ended.
      timeouts: { 'time-wait': '1s', 'fin-wait': '2s', close: '1s' },
      services: [
        service('web', SERVICE_ADDRESS, 80),
        { ...service('direct', DIRECT_ADDRESS, 80), forwarding: 'dsr', backends: direct },
        ...(hasClaimedPort ? [service('port', HOST_ADDRESS, CLAIMED_PORT)] : []),
      ],
    };
  }

  function answeredBy(address: string, port: number): string | undefined {
    return curl(network.client, `http://${address}:${port}/`).headers['x-backend'];
  }

  function ping(address: string): number {
    const { namespace } = network.client;
    return execute('ping', ['-c', '2', '-i', '0.2', '-W', '2', address], {
      namespace,
      mayFail: true,
    }).status;
  }

  /** Number of the XDP program on eth0; undefined without one. */
  function programNumber(): number | undefined {
    const { namespace } = network.host;
    const { stdout } = execute('ip', ['-j', '-d', 'link', 'show', 'dev', 'eth0'], { namespace });
    return JSON.parse(stdout)[0].xdp?.prog?.id;
  }

  async function reload(): Promise<void> {
    const { body } = await callAdmin(weir.socketPath, 'POST', '/v1/reload');
    expect(body).toMatchObject({ applied: true });
  }

  async function load(address: string, port = 80): Promise<HttpLoad> {
    const options = { connections: CONNECTIONS, pauseMs: 5, intervalMs: 100 };
    const running = new HttpLoad(network.client, { host: address, port, ...options });
    await waitUntil('the load is on', () => running.latest?.open === CONNECTIONS);
    return running;
  }

  function expectUnharmed(report: LoadReport): void {
    expect(report, JSON.stringify(report.failures)).toMatchObject({
      connectErrors: 0,
      brokenConnections: 0,
      failedRequests: 0,
    });
    expect(report.requests).toBeGreaterThan(0);
  }

  it('carries the traffic of the kernel and of weir at once', () => {
    expect(answeredBy(HOST_ADDRESS, KERNEL_PORT)).toBe('host');
    expect(sshKey()).toContain('ssh-ed25519');
    const servers = ['b1', 'b2'];
    for (const [address, port] of [
      [SERVICE_ADDRESS, 80],
      [HOST_ADDRESS, CLAIMED_PORT],
      [DIRECT_ADDRESS, 80],
    ] as const) {
      const seen = new Set(Array.from({ length: 6 }, () => answeredBy(address, port)));
      expect([...seen].sort(), `${address}:${port}`).toEqual(servers);
    }
    expect(ping(HOST_ADDRESS)).toBe(0);
    expect(ping(SERVICE_ADDRESS)).toBe(0);
    // What is the address's alone and no service: refused by weir. Of the host: by its kernel.
    expect(curl(network.client, `http://${SERVICE_ADDRESS}:81/`).exitCode).toBe(7);
    expect(curl(network.client, `http://${HOST_ADDRESS}:81/`).exitCode).toBe(7);
  });

  it('tells what is taken and what is left to the kernel, and that no driver is polled', async () => {
    const before = await weir.status();
    expect(before.claims).toMatchObject({ former: 0, refused: 0 });
    // Addresses of the host and of lo, two of services; three services; one end of each server.
    expect(before.claims.inForce).toBe(9);
    expect(ping(HOST_ADDRESS)).toBe(0);
    expect(ping(SERVICE_ADDRESS)).toBe(0);
    const after = await weir.status();
    const [{ shared, busyPolling }] = after.interfaces;
    expect(shared.framesTaken - before.interfaces[0].shared.framesTaken).toBeGreaterThanOrEqual(2);
    const left = shared.framesLeftToKernel - before.interfaces[0].shared.framesLeftToKernel;
    expect(left).toBeGreaterThanOrEqual(2);
    expect(busyPolling).toMatchObject({ budget: 64, queuesWithNapi: 0, inEffect: false });
    expect(busyPolling.reason).toContain('NAPI');
  });

  it('leaves the host its own connections to the servers, and its name resolution of links', () => {
    for (const { name, address } of network.servers) {
      expect(curl(network.host, `http://${address}/`).headers['x-backend']).toBe(name);
    }
    const { namespace } = network.host;
    execute('ip', ['neigh', 'flush', 'all'], { namespace });
    expect(curl(network.host, `http://${network.servers[0].address}/`).status).toBe(200);
    expect(answeredBy(SERVICE_ADDRESS, 80)).toMatch(/^b[12]$/);
  });

  it('is reloaded under load: services come and go, the kernel loses nothing', async () => {
    const kernels = await load(HOST_ADDRESS, KERNEL_PORT);
    const weirs = await load(SERVICE_ADDRESS);
    const leaving = await load(HOST_ADDRESS, CLAIMED_PORT);
    for (let round = 0; round < RELOADS; round += 1) {
      weir.writeConfig(configuration(round % 2 === 1));
      await reload();
      await sleep(100);
    }
    weir.writeConfig(configuration(false));
    await reload();
    await sleep(300);
    // Removed, but its connections go on to the same servers.
    const after = await leaving.stop();
    expectUnharmed(after);
    expect(after.movedConnections).toBe(0);
    expect(after.perServer.host).toBeUndefined();
    // Then the port is the kernel's again.
    await waitUntil(
      'the port is the kernel’s',
      () => answeredBy(HOST_ADDRESS, CLAIMED_PORT) === 'host',
      20_000,
    );
    expect(sshKey()).toContain('ssh-ed25519');
    weir.writeConfig(configuration(true));
    await reload();
    await waitUntil('the port is weir’s', () => {
      return answeredBy(HOST_ADDRESS, CLAIMED_PORT) !== 'host';
    });
    expectUnharmed(await kernels.stop());
    expectUnharmed(await weirs.stop());
  });

  it('is taken over by another supervisor, with a program of its own, and nothing stops', async () => {
    const kernels = await load(HOST_ADDRESS, KERNEL_PORT);
    const weirs = await load(SERVICE_ADDRESS);
    const before = programNumber();
    const old = weir.pid('supervisor')!;
    weir.kill('SIGKILL', 'supervisor');
    await sleep(300);
    startAgain(weir);
    await weir.waitForRestart('supervisor', old);
    await waitUntil('the program is another', () => programNumber() !== before);
    expect(programNumber()).toBeGreaterThan(0);
    await sleep(500);
    // One processor after the other: control finds what it had claimed.
    for (const role of ['control', 'switching 0']) {
      const pid = weir.pid(role)!;
      weir.kill('SIGKILL', role);
      await weir.waitForRestart(role, pid);
      await sleep(500);
    }
    expectUnharmed(await kernels.stop());
    const report = await weirs.stop();
    expect(report.brokenConnections + report.connectErrors).toBe(0);
    expect(answeredBy(HOST_ADDRESS, CLAIMED_PORT)).toMatch(/^b[12]$/);
  });

  it('is opened again when the interface was deleted and made anew', async () => {
    network.remakeInterface();
    await waitUntil('the program is there again', () => programNumber() !== undefined);
    await waitUntil('weir answers', () => answeredBy(SERVICE_ADDRESS, 80) !== undefined, 20_000);
    expect(answeredBy(HOST_ADDRESS, KERNEL_PORT)).toBe('host');
    expect(answeredBy(HOST_ADDRESS, CLAIMED_PORT)).toMatch(/^b[12]$/);
  });

  it('is described by weir doctor, with the port of the kernel that a service hides', () => {
    const args = [join(topFolder(), 'bin', 'weir'), 'doctor', '--json'];
    args.push('--config', weir.configFile, '--socket', weir.socketPath);
    const { namespace } = network.host;
    const { status, stdout } = execute(process.execPath, args, { namespace, mayFail: true });
    expect(status, stdout).toBe(0);
    const { wouldRun, findings } = JSON.parse(stdout);
    expect(wouldRun).toBe(true);
    const found = (what: string) => {
      return findings.find(({ name }: { name: string }) => name === `interface eth0: ${what}`);
    };
    expect(found('xdp-mode')).toMatchObject({ state: 'not had' });
    expect(found('xdp-mode').reason).toMatch(/native copy .weir runs with it/);
    expect(found('claimed-ports').reason).toContain(`tcp ${CLAIMED_PORT} (port)`);
    expect(found('busy-polling')).toMatchObject({ state: 'not had' });
    expect(found('busy-polling').reason).toContain('no NAPI instance');
    expect(found('queues')).toMatchObject({ state: 'ok' });
  });

  it('costs the kernel’s own server little, and goes without a trace when weir is killed', async () => {
    const withWeir = measure();
    const throughWeir = measure(SERVICE_ADDRESS);
    const kernels = await load(HOST_ADDRESS, KERNEL_PORT);
    weir.kill('SIGKILL');
    await waitUntil('the program is gone', () => programNumber() === undefined);
    await sleep(500);
    expectUnharmed(await kernels.stop());
    expect(answeredBy(HOST_ADDRESS, KERNEL_PORT)).toBe('host');
    expect(sshKey()).toContain('ssh-ed25519');
    // Also what weir had claimed of the host's address.
    expect(answeredBy(HOST_ADDRESS, CLAIMED_PORT)).toBe('host');
    const afterWeir = measure();
    const figures = { beforeWeir, withWeir, afterWeir, throughWeir };
    print('shared interface, requests per second', figures);
    expect(withWeir).toBeGreaterThan(0);
  });
});
