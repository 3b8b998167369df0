// AF_XDP on real (virtual) interfaces, without the packet filter: a forwarder between two veth pairs,
// its sockets held by another process. What is proven: the frames arrive whole, every frame of main
// memory stays accounted for, and a forwarder killed with SIGKILL is continued by the next one on
// the same sockets, including what arrived while none was there.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanAll, registerNamespace, registerProcess } from '../../src/lab/clean-up.ts';
import { execute } from '../../src/lab/command.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { builtModule } from '../support/built-module.ts';

const reason = skipReason({ programs: ['ip', 'ethtool'], bpf: true });
if (reason !== undefined) process.stdout.write(`af-xdp.test.ts is skipped: ${reason}\n`);

const FRAMES = 1024;
const prefix = `weir-${process.pid}-xdp`;
const SWITCH = `${prefix}-switch`;
const CLIENT = `${prefix}-client`;
const SERVER = `${prefix}-server`;

// biome-ignore lint/suspicious/noExplicitAny: what a line of JSON holds is checked by the expectations.
type Values = Record<string, any>;

/** A program of test/support in a namespace, spoken to by lines. */
class Program {
  readonly child: ChildProcess;
  readonly #lines: Interface;
  readonly #pending: Values[] = [];

  constructor(namespace: string, source: string, ...args: string[]) {
    const path = fileURLToPath(builtModule(`test/support/${source}`));
    const command = ['netns', 'exec', namespace, process.execPath, path, ...args];
    this.child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
    registerProcess(this.child.pid!);
    this.#lines = createInterface({ input: this.child.stdout! });
    this.#lines.on('line', (line) => this.#pending.push(JSON.parse(line)));
  }

  tell(line: string): void {
    this.child.stdin!.write(`${line}\n`);
  }

  /** Waits for the next line that it prints. */
  async hear(): Promise<Values> {
    for (let waited = 0; this.#pending.length === 0; waited += 5) {
      const { exitCode, signalCode } = this.child;
      const state = `exit code ${exitCode}, signal ${signalCode}`;
      if (exitCode !== null || signalCode !== null) throw new Error(`it has ended: ${state}`);
      if (waited > 20_000) throw new Error('it says nothing');
      await sleep(5);
    }
    return this.#pending.shift()!;
  }

  endInput(): void {
    this.child.stdin!.end();
  }
}

function addNamespace(name: string): void {
  execute('ip', ['netns', 'add', name]);
  registerNamespace(name);
}

function addPair(inside: string, host: string, namespace: string): void {
  const pair = ['link', 'add', inside, 'netns', SWITCH, 'type', 'veth'];
  execute('ip', [...pair, 'peer', 'name', host, 'netns', namespace]);
  for (const [where, name] of [
    [SWITCH, inside],
    [namespace, host],
  ]) {
    // No router solicitations between our own frames.
    execute('sysctl', ['-qw', `net.ipv6.conf.${name}.disable_ipv6=1`], { namespace: where });
    execute('ip', ['-n', where, 'link', 'set', name, 'up']);
  }
  execute('ethtool', ['-K', host, 'tx', 'off'], { namespace });
}

async function send(first: number, count: number): Promise<void> {
  const sender = new Program(CLIENT, 'raw-frames.ts', 'send', 'client0', `${first}`, `${count}`);
  expect(await sender.hear()).toBe(count);
}

function between(numbers: readonly number[], first: number, count: number): number {
  return new Set(numbers.filter((n) => n >= first && n < first + count)).size;
}

describe.skipIf(reason !== undefined)('AF_XDP', () => {
  beforeAll(() => {
    for (const name of [SWITCH, CLIENT, SERVER]) addNamespace(name);
    addPair('left0', 'client0', CLIENT);
    addPair('right0', 'server0', SERVER);
  });

  afterAll(() => cleanAll());

  it.each(['native zero-copy,native copy', 'generic copy'])(
    'forwards, survives kill -9, loses no frame (%s)',
    async (modes) => {
      const holder = new Program(SWITCH, 'af-xdp-holder.ts', modes, 'left0', 'right0');
      const { opened } = await holder.hear();
      for (const { mode, refused, queues } of opened) {
        expect(modes.split(',')).toContain(mode);
        expect(queues).toBe(1);
        if (mode === 'native copy') expect(refused[0]).toMatch(/^native zero-copy: .*EOPNOTSUPP/);
      }
      const receiver = new Program(SERVER, 'raw-frames.ts', 'receive', 'server0');
      expect(await receiver.hear()).toEqual({ ready: true });

      holder.tell('start');
      expect(await holder.hear()).toEqual({ recovered: 0, suspects: 0, free: FRAMES });
      await send(0, 1000);

      holder.tell('kill');
      expect(await holder.hear()).toEqual({ ended: 'SIGKILL' });
      // Nobody is there: these wait in the receive ring.
      await send(10_000, 150);
      holder.tell('start');
      const restarted = await holder.hear();
      expect(restarted.free).toBeLessThan(FRAMES);
      // Every frame that the interface has is found in a ring.
      expect(restarted.suspects).toBe(0);
      await send(20_000, 1000);

      // Killed at any moment, under load: what was in its hands is reclaimed.
      const busy = send(30_000, 3000);
      await sleep(60);
      holder.tell('kill');
      expect(await holder.hear()).toEqual({ ended: 'SIGKILL' });
      holder.tell('start');
      await holder.hear();
      await busy;
      await send(40_000, 1000);
      await sleep(2000);
      holder.tell('stop');
      const last = await holder.hear();
      expect(last.misplaced).toBe(0);
      expect(last.owners.other).toBe(0);
      expect(last.freeCount + last.inRings).toBe(FRAMES);
      expect(last.owners).toEqual({ free: last.freeCount, interface: last.inRings, other: 0 });
      expect(await holder.hear()).toEqual({ ended: 'SIGTERM' });

      receiver.endInput();
      const { numbers, wrong, drops } = await receiver.hear();
      expect(wrong).toBe(0);
      // Should frames be missing, this says where: before us, in us, or behind us.
      const where = JSON.stringify({ drops, kernel: last.kernel, forwarded: last.forwarded });
      expect(between(numbers, 0, 1000), where).toBe(1000);
      expect(between(numbers, 10_000, 150), where).toBe(150);
      expect(between(numbers, 20_000, 1000), where).toBe(1000);
      expect(between(numbers, 40_000, 1000), where).toBe(1000);

      const show = () => execute('ip', ['-n', SWITCH, '-d', 'link', 'show', 'left0']).stdout;
      expect(show()).toMatch(/xdp/);
      holder.tell('close');
      expect(await holder.hear()).toEqual({ closed: 2 });
      expect(show()).not.toMatch(/prog\/xdp/);
      holder.endInput();
      await once(holder.child, 'exit');
    },
  );

  it('bears that an interface goes, and opens its successor', async () => {
    const holder = new Program(SWITCH, 'af-xdp-holder.ts', 'native copy', 'left0', 'right0');
    await holder.hear();
    holder.tell('watch');
    expect(await holder.hear()).toEqual({ watching: true });
    holder.tell('start');
    await holder.hear();
    await send(0, 100);
    execute('ip', ['-n', SWITCH, 'link', 'delete', 'left0']);
    expect(await holder.hear()).toEqual({ gone: 'left0' });
    await sleep(100);
    // It is still there, and polls an interface that is not.
    holder.tell('stop');
    const withoutInterface = await holder.hear();
    expect(withoutInterface.misplaced).toBe(0);
    expect(withoutInterface.owners.other).toBe(0);
    expect(await holder.hear()).toEqual({ ended: 'SIGTERM' });

    addPair('left0', 'client0', CLIENT);
    holder.tell('reopen');
    expect(await holder.hear()).toEqual({ reopened: 'left0' });
    const receiver = new Program(SERVER, 'raw-frames.ts', 'receive', 'server0');
    await receiver.hear();
    holder.tell('start');
    // What the socket that is gone had is suspected, and reclaimed when it has stayed away.
    expect((await holder.hear()).suspects).toBeGreaterThan(0);
    await send(1000, 200);
    await sleep(2000);
    holder.tell('stop');
    const last = await holder.hear();
    expect(last.confirmed).toBeGreaterThan(0);
    expect(last.freeCount + last.inRings).toBe(FRAMES);
    receiver.endInput();
    const { numbers, drops } = await receiver.hear();
    const where = JSON.stringify({ drops, kernel: last.kernel });
    expect(between(numbers, 1000, 200), where).toBe(200);
    holder.endInput();
  });

  it('refuses an MTU that no frame can hold, and says so', async () => {
    execute('ip', ['-n', SWITCH, 'link', 'set', 'left0', 'mtu', '2000']);
    const holder = new Program(SWITCH, 'af-xdp-holder.ts', 'native copy', 'left0', 'right0');
    const { code, message } = await holder.hear();
    expect(code).toBe('ERR_INTERFACE_UNSUPPORTED');
    expect(message).toContain('MTU of 2000');
    execute('ip', ['-n', SWITCH, 'link', 'set', 'left0', 'mtu', '1500']);
  });

  it('says when there is no such interface', async () => {
    const holder = new Program(SWITCH, 'af-xdp-holder.ts', 'native copy', 'nothing0');
    const { code } = await holder.hear();
    expect(code).toBe('ERR_INTERFACE_NOT_FOUND');
  });
});
