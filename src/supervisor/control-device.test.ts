// The pseudo-network device in the kernel, in a network of the test's own: what it has when it was made,
// what becomes of it when others set it down, delete it or take its namespace away, what it leaves to
// others, and what is said when it cannot be had.

import { execFileSync } from 'node:child_process';
import { pid } from 'node:process';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { enterPrivateNetwork, ip, makeVethPair } from '../../test/support/private-network.ts';
import { Log } from '../base/log.ts';
import { CONTROL_INTERFACE, INTERFACE_LINK_UP, INTERFACE_REOPENED } from '../memory/layout.ts';
import { type MainMemory, plainMainMemory } from '../memory/region.ts';
import { closeFd } from '../sys/libc.ts';
import { openTap } from '../sys/tap.ts';
import { ControlDevice, type ControlDeviceSettings } from './control-device.ts';

const reason = enterPrivateNetwork();
if (reason !== undefined) process.stdout.write(`control device: skipped: ${reason}\n`);

const NAMESPACE = `weir-${pid}-device`;
const SETTINGS = { device: 'weir0', addresses: ['10.1.0.9/24'], mtu: 1400, routes: ['10.0.0.0/8'] };

class RecordingLog extends Log {
  readonly lines: string[] = [];
  override info(message: string): void {
    this.lines.push(message);
  }
  override warning(message: string): void {
    this.lines.push(message);
  }
}

function show(command: string, namespace?: string): string {
  const where = namespace === undefined ? [] : ['-n', namespace];
  return execFileSync('ip', [...where, ...command.split(' ')], { encoding: 'utf8' });
}

describe.skipIf(reason !== undefined)('the pseudo-network device', () => {
  let memory: MainMemory;
  let log: RecordingLog;
  let open: number[];

  beforeEach(() => {
    memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    log = new RecordingLog('test');
    open = [];
  });

  const closeAll = () => {
    for (const fd of open.splice(0)) closeFd(fd);
  };
  afterEach(closeAll);

  afterAll(() => {
    try {
      ip(`netns delete ${NAMESPACE}`);
    } catch {
      // The last test has done it.
    }
  });

  function device(settings: Partial<ControlDeviceSettings> = {}): ControlDevice {
    const fd = openTap();
    open.push(fd);
    return new ControlDevice(memory, { ...SETTINGS, ...settings }, fd, log);
  }

  const word = (index: number): number =>
    memory.words[memory.interfaceWord(CONTROL_INTERFACE, index)];
  const state = () => ({ up: word(INTERFACE_LINK_UP), madeAnew: word(INTERFACE_REOPENED) });

  it('has its addresses, its MTU and its routes, and goes with its last descriptor', () => {
    device().make();
    expect(state()).toEqual({ up: 1, madeAnew: 0 });
    expect(show('-4 addr show weir0')).toMatch(/mtu 1400 .*inet 10\.1\.0\.9\/24/s);
    expect(show('route show dev weir0')).toContain('10.0.0.0/8 via 169.254.87.69 proto static src');
    closeAll();
    expect(show('link')).not.toContain('weir0');
  });

  it('is down while somebody has set it down, and has its routes again afterwards', () => {
    const one = device();
    one.make();
    ip('link set weir0 down');
    one.look();
    one.look();
    expect(state()).toEqual({ up: 0, madeAnew: 0 });
    ip('link set weir0 up');
    expect(show('route show dev weir0')).not.toContain('10.0.0.0/8');
    one.look();
    expect(state()).toEqual({ up: 1, madeAnew: 0 });
    expect(show('route show dev weir0')).toContain('10.0.0.0/8');
    expect(log.lines.slice(1)).toEqual([
      'weir0: the pseudo-network device was set down',
      'weir0: the pseudo-network device is up again',
    ]);
  });

  it('is made anew when it was deleted, and again', () => {
    const one = device();
    one.make();
    for (const madeAnew of [1, 2]) {
      ip('link delete weir0');
      one.look();
      expect(state()).toEqual({ up: 1, madeAnew });
      expect(show('route show dev weir0')).toContain('10.0.0.0/8');
    }
  });

  it('takes no route from another interface, and says which goes first', () => {
    makeVethPair('other0', 'other1');
    ip('addr add 192.0.2.1/24 dev other0');
    ip('route add default via 192.0.2.254');
    device({ routes: ['default'] }).make();
    expect(show('route show default').split('\n')).toEqual([
      expect.stringContaining('default via 192.0.2.254 dev other0'),
      expect.stringContaining('default via 169.254.87.69 dev weir0'),
      '',
    ]);
    expect(log.lines[0]).toBe('weir0: another interface has a route to default, which goes first');
    ip('link delete other0');
  });

  it('is in the namespace of that name, whichever that is', () => {
    ip(`netns add ${NAMESPACE}`);
    const one = device({ namespace: NAMESPACE });
    one.make();
    expect(show('addr show weir0', NAMESPACE)).toContain('10.1.0.9/24');
    ip(`netns delete ${NAMESPACE}`);
    const deadline = performance.now() + 10_000;
    while (word(INTERFACE_LINK_UP) === 1 && performance.now() < deadline) one.look();
    one.look();
    expect(state()).toEqual({ up: 0, madeAnew: 0 });
    ip(`netns add ${NAMESPACE}`);
    one.look();
    expect(state()).toEqual({ up: 1, madeAnew: 1 });
    expect(show('addr show weir0', NAMESPACE)).toContain('10.1.0.9/24');
    // Said once, however often it was tried.
    expect(log.lines.filter((line) => line.includes('cannot be made')).length).toBe(1);
    ip(`netns delete ${NAMESPACE}`);
  });

  it('has a name that nobody else has', () => {
    const taken = /interface weir0\n.*another device of this name/s;
    device().make();
    expect(() => device().make()).toThrow(taken);
    closeAll();
    makeVethPair('weir0', 'other1');
    expect(() => device().make()).toThrow(taken);
    // Where it was to go.
    ip(`netns add ${NAMESPACE}`);
    ip(`link set weir0 netns ${NAMESPACE}`);
    expect(() => device({ namespace: NAMESPACE }).make()).toThrow(taken);
    ip('link delete other1');
    ip(`netns delete ${NAMESPACE}`);
  });

  it('needs its namespace when weir starts', () => {
    const one = device({ namespace: `${NAMESPACE}-none` });
    expect(() => one.make()).toThrow(/there is no network namespace.*ip netns add/s);
    expect(show('link')).not.toContain('weir0');
  });
});
