// Goal: whatever an application does that it should not, it is the one that pays: the packet ends as
// `app-failed`, the application is switched off, and the switch has all its frames and goes on.
// Method: one module that misbehaves as the first byte of a datagram says, on a bench of a whole switch.
// What would end the process that these tests run in: test/scenario/applications.test.ts.

import { beforeEach, describe, expect, it } from 'vitest';
import {
  moduleFile,
  planOf,
  runApplications,
  shareOf,
  writePlans,
} from '../../test/support/application-bench.ts';
import { EXT, SwitchBench } from '../../test/support/switch-bench.ts';
import { fromClient } from '../../test/support/switch-packets.ts';
import {
  APPLICATION_BROKEN,
  APPLICATION_CRASHED,
  APPLICATION_FAILED,
  APPLICATION_RUNS,
  SHARE_FRAMES,
  SHARE_STATE,
} from '../memory/application-memory.ts';
import { FRAME_SIZE, PROCESSOR_APPLICATION, PROCESSOR_ENDED_ITSELF } from '../memory/layout.ts';
import { textOf } from './thrown.ts';

const PORT = 4000;
const FRAMES = 8;

/** Answers -1 … as the table's first word, so that a test sees what the host said. */
const HOSTILE = moduleFile(`
let host, counter;
export const match = { protocol: 'udp', port: ${PORT} };
export const setup = (given) => { host = given; counter = host.counter('mine'); };
const said = (value) => { host.table[0] = value; };
const faults = {
  getter: () => { throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } }); },
  stack: () => { throw Object.defineProperty(new Error('x'), 'stack', { get() { throw 3; } }); },
  nothing: () => { throw undefined; },
  endless: () => { throw new Error('y'.repeat(1e7)); },
  promise: async (packet) => packet.reply(1),
  minus: () => -1,
  text: () => '0',
  object: () => ({ valueOf: () => 3 }),
  bigLength: (packet) => { packet.length = 99n; return packet.pass(); },
  trapLength: (packet) => { packet.length = { valueOf() { throw new Error('trap'); } }; return packet.pass(); },
  symbolLength: (packet) => { packet.length = Symbol('x'); return packet.pass(); },
  nanLength: (packet) => { packet.length = NaN; return packet.pass(); },
  methods: (packet) => { packet.reply = () => 1; return packet.pass(); },
  prototype: (packet) => { Object.getPrototypeOf(packet).pass = () => 1; return packet.pass(); },
  fields: (packet) => { packet.mine = 1; return packet.pass(); },
  view: (packet) => { packet.view = new DataView(new ArrayBuffer(1)); return packet.pass(); },
  host: (packet) => { host.mayHold = () => { throw 4; }; return packet.keep(); },
  closing: (packet) => { host.close = () => {}; return packet.pass(); },
};
const deeds = {
  leak: () => { while (host.take() >= 0); said(host.take()); },
  twice: () => { const o = host.take(); host.give(o); said(host.give(o)); },
  lent: (packet) => said(host.give(packet.offset)),
  foreign: (packet) => said(host.send(packet.offset, 60, 0)),
  nowhere: () => said(host.give(-5) + host.give(1e9) + host.give(NaN) + host.give(undefined) + host.send('x', 60, 0)),
  unwritten: () => { const o = host.take(); said(host.send(o, 60, 0)); },
  longer: () => { const o = host.take(); host.writeUdp(o, 1, 1, 1, 1, 4000); said(host.send(o, 4042, 0)); },
  after: (packet) => { const o = host.take(); host.give(o); said(host.writeUdp(o, 1, 1, 1, 1, 1) && host.send(o, 60, 0)); },
  count: () => { for (const wrong of ['1', -1, 16, 1e9, NaN, 0.5, undefined]) host.count(wrong, 1); said(7); },
};
export function onPacket(packet) {
  const name = new TextDecoder().decode(packet.bytes.slice(packet.payloadOffset, packet.payloadOffset + packet.payloadLength));
  if (name in faults) return faults[name](packet);
  deeds[name](packet);
  return packet.consume();
}`);

let bench: SwitchBench;
const datagram = (payload: string) =>
  fromClient({ destination: '10.1.0.1' })
    .udp({ sourcePort: 3333, destinationPort: PORT })
    .payload(payload);
const pass = (payload: string) => bench.pass(datagram(payload));
/** One turn, after which an application may have frames in hand. */
const show = (payload: string) => {
  bench.inject(datagram(payload), EXT);
  bench.turn();
};
const state = () => shareOf(bench).word(SHARE_STATE);
const said = () => bench.memory.words[bench.memory.layout.applicationTables >> 2];

beforeEach(async () => {
  bench = await SwitchBench.create();
  await runApplications(bench, planOf({ module: HOSTILE, failures: 1000, frames: FRAMES }));
});

describe('a fault ends its packet, is counted, and harms nobody', () => {
  it('whatever is thrown or returned', () => {
    const faults = [
      'getter stack nothing endless promise minus text object',
      'bigLength trapLength symbolLength nanLength methods prototype fields view host closing',
    ].flatMap((line) => line.split(' '));
    for (const fault of faults) {
      expect(pass(fault), fault).toEqual({ reasons: ['app-failed'], sent: [] });
    }
    expect(bench.count('app-failed')).toBe(faults.length);
    expect(state()).toBe(APPLICATION_RUNS);
  });

  it.each([
    ['of minus one, as of anything else that is no verdict', 'minus'],
    ['of a promise', 'promise'],
  ])('and too many switch it off: %s', async (_, fault) => {
    await runApplications(bench, planOf({ module: HOSTILE, failures: 3, revision: 2 }));
    for (let i = 0; i < 3; i++) pass(fault);
    expect(state()).toBe(APPLICATION_FAILED);
  });

  it('has a text, whatever it is', () => {
    const strange = [undefined, Symbol('s'), 10n, Object.create(null), new Error('\u001b[31m\n')];
    expect(strange.map(textOf)).toEqual([
      'undefined',
      'Symbol(s)',
      '10',
      'something was thrown that has no text',
      'Error:  [31m ',
    ]);
  });
});

describe('frames', () => {
  it.each([
    ['gives one back once', 'twice', 0, 0],
    ['does not give back what is only lent to it', 'lent', 0, 0],
    ['does not send what is only lent to it', 'foreign', 0, 0],
    ['does not give or send what is no frame', 'nowhere', 0, 0],
    ['does not send what it has given back', 'after', 0, 0],
    ['does not send what is no packet', 'unwritten', 0, 1],
    ['does not send more than a frame has', 'longer', 0, 1],
    ['has as many as it may and no more', 'leak', -1, FRAMES],
  ])('an application %s', (_, deed, answer, inHand) => {
    bench.memory.words[bench.memory.layout.applicationTables >> 2] = 99;
    show(deed);
    expect(state()).toBe(APPLICATION_RUNS);
    expect(said()).toBe(answer);
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(inHand);
    expect(bench.processors[0].pool.misplaced).toBe(0);
  });

  it('and counts are nowhere but where they belong', () => {
    const next = (bench.memory.layout.applicationShares + 1024) >> 3;
    const others = bench.memory.doubles.slice(next, next + 1000);
    show('count');
    // 0.5 and what is no number are its first counter.
    expect(shareOf(bench).namedCounters()).toEqual({ mine: 3 });
    expect(bench.memory.doubles.slice(next, next + 1000)).toEqual(others);
  });

  it('are all found again when the processor is killed, and when the application is replaced', async () => {
    const free = bench.processors[0].pool.freeCount;
    show('leak');
    expect(bench.processors[0].pool.freeCount).toBe(free - FRAMES);
    await runApplications(bench, planOf({ module: HOSTILE, revision: 2, frames: FRAMES }));
    expect(bench.processors[0].pool.freeCount).toBe(free);
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(0);
    show('leak');
    bench.restart(0);
    await bench.processors[0].applications.load(bench.now);
    bench.turn();
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(0);
    expect(bench.processors[0].pool.reclaimed).toBeGreaterThanOrEqual(FRAMES);
    const { framesStart, frameOwners, frames } = bench.memory.layout;
    expect(framesStart % FRAME_SIZE).toBe(0);
    bench.settle();
    const owners = bench.memory.words.subarray(frameOwners >> 2, (frameOwners >> 2) + frames);
    expect(owners.filter((owner) => owner >> 16 === 4)).toEqual(new Int32Array());
  });
});

describe('what takes a processor with it', () => {
  it('is off on all of them afterwards, and says so', async () => {
    const set = (word: number, value: number) => {
      bench.memory.words[bench.memory.processorWord(0, word)] = value;
    };
    set(PROCESSOR_APPLICATION, 1);
    set(PROCESSOR_ENDED_ITSELF, 1);
    bench.restart(0);
    await bench.processors[0].applications.load(bench.now);
    expect(state()).toBe(APPLICATION_CRASHED);
    expect(shareOf(bench).error()).toBe('a switching processor ended in it');
    bench.turn();
    expect(pass('minus').reasons).toEqual(['invalid-service']);
  });

  it('waits without using the CPU: the second time within ten seconds it is off', () => {
    const late = () => {
      pass('minus');
      bench.advance(1000);
    };
    late();
    expect(state()).toBe(APPLICATION_RUNS);
    bench.advance(1);
    late();
    expect(state()).toBe(APPLICATION_FAILED);
    expect(shareOf(bench).error()).toMatch(/^kept the processor waiting for 1\d\d\d ms/);
  });
});

describe('what is thrown later, in a promise or a timer', () => {
  const later = () => bench.processors[0].applications;

  it('is the failure of whose module stands in the stack, or of the only one', async () => {
    const thrower = moduleFile(`export const match = {}; let make;
      export const setup = () => { globalThis.made = new Error('later'); };
      export const onPacket = (packet) => packet.pass();`);
    const plan = { module: thrower, failures: 2 };
    await runApplications(
      bench,
      planOf({ module: HOSTILE, revision: 3 }),
      planOf({ ...plan, name: 'thrower', slot: 1 }),
    );
    const { made } = globalThis as { made?: Error };
    later().strayed('nobody knows whose', bench.now);
    later().strayed(made, bench.now);
    expect(shareOf(bench, 1).word(SHARE_STATE)).toBe(APPLICATION_RUNS);
    later().strayed(made, bench.now);
    expect(shareOf(bench, 1).word(SHARE_STATE)).toBe(APPLICATION_FAILED);
    expect(state()).toBe(APPLICATION_RUNS);
    await runApplications(bench, planOf({ ...plan, name: 'thrower', slot: 1, revision: 2 }));
    for (let i = 0; i < 2; i++) later().strayed('whose it must be', bench.now);
    expect(shareOf(bench, 1).word(SHARE_STATE)).toBe(APPLICATION_FAILED);
  });
});

describe('loading', () => {
  it('ends, also of a module that never does, and of a setup', async () => {
    const modules = [
      moduleFile(
        'await new Promise(() => {}); export const match = {}; export function onPacket() {}',
      ),
      moduleFile(
        'export const match = {}; export async function setup() { await new Promise(() => {}); }\nexport function onPacket() {}',
      ),
    ];
    bench.processors[0].applications.loader.limitMs = 50;
    const plans = modules.map((module, i) => planOf({ name: `n${i}`, slot: i + 1, module }));
    await runApplications(bench, planOf({ module: HOSTILE }), ...plans);
    for (const slot of [1, 2]) {
      expect(shareOf(bench, slot).word(SHARE_STATE)).toBe(APPLICATION_BROKEN);
      expect(shareOf(bench, slot).error()).toMatch(/^Error: not ready after 0\.05 s/);
    }
    expect(state()).toBe(APPLICATION_RUNS);
  });

  it('is given up as soon as there are other plans, and those are loaded', async () => {
    const never = moduleFile('await new Promise(() => {}); export function onPacket() {}');
    const { applications } = bench.processors[0];
    writePlans(bench.memory, [
      planOf({ name: 'first', slot: 1, module: HOSTILE }),
      planOf({ name: 'never', slot: 2, module: never }),
      planOf({ module: HOSTILE, revision: 2 }),
    ]);
    const loading = applications.load(bench.now);
    const names = () =>
      applications.loader.loaded.map(({ plan }) => `${plan.name}-${plan.revision}`);
    for (; names().length < 2; ) await new Promise((resolve) => setImmediate(resolve));
    // What was there before goes on beside what is there already.
    expect(names()).toEqual(['first-1', 'test-1']);
    const [first] = applications.loader.loaded;
    writePlans(bench.memory, [planOf({ name: 'first', slot: 1, module: HOSTILE })]);
    bench.advance(2);
    await loading;
    expect(applications.loader.isStale).toBe(true);
    await applications.load(bench.now);
    expect(applications.loader.loaded).toEqual([first]);
  });

  it('goes on beside the packets, which the one before has until the next is there', async () => {
    const slow = moduleFile(`let host; await new Promise((resolve) => setTimeout(resolve, 30));
      export const match = { protocol: 'udp', port: ${PORT} };
      export const setup = async (given) => { await null; host = given; };
      export const onPacket = (packet) => (host === undefined ? -1 : packet.drop());`);
    writePlans(bench.memory, [planOf({ module: slow, revision: 2 })]);
    let isDone = false;
    const loading = bench.processors[0].applications.load(bench.now).then(() => {
      isDone = true;
    });
    for (; !isDone; await new Promise((resolve) => setImmediate(resolve))) {
      expect(pass('count').reasons).toEqual(['app-consumed']);
    }
    await loading;
    expect(pass('count').reasons).toEqual(['app-dropped']);
  });

  it('of what drops when it is off: its packets are dropped until it is there', async () => {
    const match = [{ protocol: 'udp', port: PORT }] as const;
    writePlans(bench.memory, [
      planOf({ name: 'guard', slot: 1, module: HOSTILE, whenOff: 'drop', match }),
    ]);
    const loading = bench.processors[0].applications.load(bench.now);
    expect(pass('count').reasons).toEqual(['app-dropped']);
    await loading;
    expect(pass('count').reasons).toEqual(['app-consumed']);
    bench.restart(0);
    expect(bench.processors[0].applications.loader.isStale).toBe(true);
  });
});
