// What the processes of the switch may do: read from the kernel for every thread of every process
// while the switch runs. The supervisor has just what opens interfaces, the others nothing at all, and
// none of them can ever gain more; only control listens, on its unix socket. And what weir says when
// it cannot start: what is missing, on what, and what to do about it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { cleanAll, isAlive, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { curl } from '../../src/lab/clients.ts';
import { type CommandResult, execute, topFolder } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { FRAME_SIZE } from '../../src/memory/layout.ts';
import {
  type CapabilityName,
  capabilityMask,
  readCapabilities,
  WEIR_CAPABILITIES,
} from '../../src/sys/capabilities.ts';
import { openFiles, sharedSockets } from '../support/open-files.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const PROCESSORS = 2;
const ROLES = ['supervisor', 'control', 'switching 0', 'switching 1'];
const EXIT_FAILURE = 1;
const EXIT_FAULTS = 2;
const TCP_LISTEN = '0A';
const SOCKET_ACCEPTS = 0x10000;
/** Few enough to be locked under the usual limit of 8 MiB, and too many for it. */
const FEW_FRAMES = 512;
const MANY_FRAMES = 8192;

/** The hard limit of locked memory, in bytes. */
function lockedMemoryLimit(pid: number): number {
  const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
  const hard = /^Max locked memory +\S+ +(\S+)/m.exec(limits)?.[1];
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

/** The listening sockets of one process: TCP, UDP (every bound one), and unix. */
function listeners(pid: number): string[] {
  const inodes = new Set<string>();
  for (const file of openFiles(pid)) {
    const match = /^socket:\[(\d+)\]$/.exec(file);
    if (match !== null) inodes.add(match[1]);
  }
  const rows = (table: string): string[][] =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
  const found: string[] = [];
  for (const table of ['tcp', 'udp']) {
    for (const columns of rows(table)) {
      const isListening = table === 'udp' || columns[3] === TCP_LISTEN;
      if (isListening && inodes.has(columns[9])) found.push(`${table} ${columns[1]}`);
    }
  }
  for (const [, , , flags, , , inode, path] of rows('unix')) {
    if (!inodes.has(inode)) continue;
    if ((Number.parseInt(flags, 16) & SOCKET_ACCEPTS) !== 0) found.push(`unix ${path}`);
  }
  return found;
}

describeOnKinds('capabilities', ['curl', 'setpriv', 'ps'], (kind) => {
  let network: LabNetwork;
  let folder: string;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 1, queues: PROCESSORS });
    await Promise.all(network.servers.map((host) => startWebServer(host, { port: 8080 })));
    folder = makeScratchFolder('refused');
  });

  afterAll(() => cleanAll());

  // biome-ignore lint/suspicious/noExplicitAny: parts of it are spoiled on purpose.
  function configuration(frames = FEW_FRAMES): any {
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    return switchConfiguration(network, { kind, processors: PROCESSORS, frames, services });
  }

  /** Runs weir where it must end by itself. */
  function runRefused(config: object, socket: string, before: string[] = []): CommandResult {
    const file = join(folder, 'weir.yaml');
    writeFileSync(file, stringify(config));
    const weir = join(topFolder(), 'bin', 'weir');
    const command = [...before, process.execPath, weir, 'run', '--config', file];
    const options = { namespace: network.switchNamespace, mayFail: true, timeoutMs: 20_000 };
    const result = execute(command[0], [...command.slice(1), '--socket', socket], options);
    // People read this: no stack, and at the end what to do.
    expect(result.stderr).not.toMatch(/^ +at /m);
    return result;
  }

  const socketPath = () => join(folder, 'weir.sock');

  function expectServed(): void {
    const answer = curl(network.client, `http://${network.virtualAddress}/`);
    expect(answer).toMatchObject({ exitCode: 0, status: 200 });
  }

  /** Checks every thread of every process. @returns the number of threads */
  function expectLeastCapabilities(weir: WeirProcess, ofSupervisor: bigint): number {
    const pids = weir.pids();
    expect([...pids.keys()].sort()).toEqual([...ROLES].sort());
    let threads = 0;
    for (const [role, pid] of pids) {
      const mask = role === 'supervisor' ? ofSupervisor : 0n;
      for (const each of readCapabilities(pid)) {
        threads += 1;
        const where = `${role}, thread ${each.thread}`;
        const { permitted, effective, inheritable, ambient } = each;
        expect({ permitted, effective }, where).toEqual({ permitted: mask, effective: mask });
        // Node's helper threads start nothing; they keep the sets that execve gave them, which say
        // no more than the permitted one. The thread that starts processes passes nothing on.
        const passedOn = each.thread === pid ? 0n : mask;
        expect((inheritable | ambient) & ~passedOn, where).toBe(0n);
        // What is not in the bounding set cannot come back by executing anything.
        expect(each.bounding & ~ofSupervisor, where).toBe(0n);
        const status = readFileSync(`/proc/${pid}/task/${each.thread}/status`, 'utf8');
        expect(status, where).toMatch(/^NoNewPrivs:\t1$/m);
      }
    }
    return threads;
  }

  function expectedCapabilities(weir: WeirProcess, frames: number): CapabilityName[] {
    const interfaces = kind === 'af-xdp' ? network.switchInterfaces.length : 0;
    const needed = 2 * frames * FRAME_SIZE * interfaces;
    const isEnough = lockedMemoryLimit(weir.pid('supervisor')!) >= needed;
    return isEnough ? [...WEIR_CAPABILITIES] : [...WEIR_CAPABILITIES, 'CAP_IPC_LOCK'];
  }

  it('every thread of every process has what it needs and no more', async () => {
    const weir = await WeirProcess.start(network.switchNamespace, configuration());
    expectServed();
    const expected = expectedCapabilities(weir, FEW_FRAMES);
    const threads = expectLeastCapabilities(weir, capabilityMask(expected));
    print(`capabilities on ${kind}`, { threads, supervisor: expected });

    const pids = weir.pids();
    for (const role of ROLES) {
      const found = listeners(pids.get(role)!);
      expect(found, role).toEqual(role === 'control' ? [`unix ${weir.socketPath}`] : []);
    }
    // The sockets of the interfaces belong to the switching processors, each once; control parses what
    // comes from the network and has none of them.
    const supervisor = pids.get('supervisor')!;
    expect(sharedSockets(pids.get('control')!, supervisor)).toEqual([]);
    const sockets = sharedSockets(pids.get('switching 0')!, supervisor);
    expect(sockets.length).toBeGreaterThanOrEqual(network.switchInterfaces.length);
    expect(new Set(sockets).size).toBe(sockets.length);
    const shown = execute('ps', ['-o', 'args=', '-p', [...pids.values()].join()]);
    const titles = shown.stdout.split('\n').map((line) => line.trim());
    expect(titles.filter(Boolean).sort()).toEqual(ROLES.map((role) => `weir: ${role}`).sort());

    // One that was started again is no different from the first.
    const old = pids.get('switching 1')!;
    weir.kill('SIGKILL', 'switching 1');
    await weir.waitForRestart('switching 1', old);
    await weir.waitForState('ready');
    expectLeastCapabilities(weir, capabilityMask(expected));
    expect(await weir.stop()).toBe(0);
  });

  it.runIf(kind === 'af-xdp')('locking memory is kept where the limit is too low', async () => {
    const weir = await WeirProcess.start(network.switchNamespace, configuration(MANY_FRAMES));
    const expected = expectedCapabilities(weir, MANY_FRAMES);
    expectLeastCapabilities(weir, capabilityMask(expected));
    print(`capabilities on ${kind}`, { frames: MANY_FRAMES, supervisor: expected });
    expect(await weir.stop()).toBe(0);
  });

  it('a second weir on the same socket is refused, and the first goes on', async () => {
    const weir = await WeirProcess.start(network.switchNamespace, configuration());
    const before = weir.pids();
    const { status, stderr } = runRefused(configuration(), weir.socketPath);
    expect(status).toBe(EXIT_FAILURE);
    expect(stderr).toContain(`weir already runs with the control socket ${weir.socketPath}`);
    expect(stderr).toContain(`supervisor ${before.get('supervisor')}`);
    expect(stderr).toContain('→');
    expect(weir.pids()).toEqual(before);
    expectServed();
    await expectBalanced(weir);
    const all = [...before.values()];
    expect(await weir.stop()).toBe(0);
    expect(all.filter(isAlive)).toEqual([]);
  });

  it.runIf(kind === 'af-xdp')('a second weir on the same interfaces is refused', async () => {
    const weir = await WeirProcess.start(network.switchNamespace, configuration());
    const config = configuration();
    for (const each of config.interfaces) each.kind = 'auto';
    const { status, stderr } = runRefused(config, socketPath());
    expect(status).toBe(EXIT_FAILURE);
    expect(stderr).toMatch(/LINK_CREATE.*on interface ext0\n.*→ another program already has this/);
    expectServed();
    await expectBalanced(weir);
    expect(await weir.stop()).toBe(0);
  });

  const needed = kind === 'af-xdp' ? ['net_raw', 'net_admin', 'bpf'] : ['net_raw'];
  it.each(needed)('without cap_%s it says so', (name) => {
    const before = ['setpriv', `--bounding-set=-${name}`];
    const { status, stderr } = runRefused(configuration(), socketPath(), before);
    print(`capabilities on ${kind}`, { without: name, says: stderr });
    expect(status).toBe(EXIT_FAILURE);
    expect(stderr).toContain(`CAP_${name.toUpperCase()}`);
    expect(stderr).toContain('→');
  });

  it('names an interface that does not exist', () => {
    const config = configuration();
    config.interfaces[1].name = 'missing0';
    const { status, stderr } = runRefused(config, socketPath());
    print(`capabilities on ${kind}`, { says: stderr });
    expect(status).toBe(EXIT_FAILURE);
    expect(stderr).toMatch(/missing0.*\n.*→ .+/);
  });

  it('names an interface whose MTU is too large, and the largest', () => {
    const [{ name }] = network.switchInterfaces;
    const setMtu = (mtu: string) =>
      execute('ip', ['link', 'set', name, 'mtu', mtu], { namespace: network.switchNamespace });
    setMtu('9000');
    const { status, stderr } = runRefused(configuration(), socketPath());
    setMtu('1500');
    print(`capabilities on ${kind}`, { says: stderr });
    expect(status).toBe(EXIT_FAILURE);
    expect(stderr).toMatch(/ext0 has an MTU of 9000.*\n.*→ .*ip link set .*ext0 mtu 1500/);
  });

  it('shows every fault of a configuration at once', () => {
    const config = configuration();
    config.services[0].port = 99_999;
    config.services[0].backends[0].wieght = 2;
    const { status, stderr } = runRefused(config, socketPath());
    expect(status).toBe(EXIT_FAULTS);
    expect(stderr).toMatch(/weir\.yaml:\d+:\d+: error: services\[0\]\.port/);
    expect(stderr).toMatch(/weir\.yaml:\d+:\d+: error: services\[0\]\.backends\[0\].*wieght/);
    expect(stderr).toContain('2 faults');
  });
});
