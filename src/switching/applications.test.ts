// Goal: an application sees what it asks for, its verdict is carried out, and whatever it does the switch
// keeps its invariants: every packet under one reason, every frame with one owner (SwitchBench.settle).
// Method: one module whose verdict is the first byte of the payload, on a bench of a whole switch.

import { beforeEach, describe, expect, it } from 'vitest';
import {
  moduleFile,
  planOf,
  runApplications,
  shareOf,
  writePlans,
} from '../../test/support/application-bench.ts';
import { HOST, HOST_MAC_TEXT, PEER_MAC_TEXT } from '../../test/support/host-end.ts';
import { CONTROL, CONTROL_CONFIGURATION, fromHost } from '../../test/support/host-packets.ts';
import { packet } from '../../test/support/packet-builder.ts';
import { decodeFrame, expectSameFields } from '../../test/support/packet-fields.ts';
import { B1, EXT, EXT_MAC, INT, macOf, SwitchBench } from '../../test/support/switch-bench.ts';
import { fromClient, request, SYN, toServer } from '../../test/support/switch-packets.ts';
import {
  APPLICATION_BROKEN,
  APPLICATION_FAILED,
  APPLICATION_HUNG,
  APPLICATION_RUNS,
  SHARE_FAILURES,
  SHARE_FRAMES,
  SHARE_OVERRUNS,
  SHARE_STATE,
} from '../memory/application-memory.ts';
import { PROCESSOR_APPLICATION, PROCESSOR_DIED_AT, PROCESSOR_HEARTBEAT } from '../memory/layout.ts';

const OURS = '10.1.0.1';
const PORT = 4000;

/** Does what the first byte of a datagram says. */
const OBEDIENT = moduleFile(`
const kept = [];
let host, counter;
export default {
  name: 'obedient',
  match: { protocol: 'udp', port: [${PORT}, ${PORT + 1}] },
  tickMs: 5,
  setup(given) { host = given; counter = host.counter('seen'); },
  onPacket(packet, nowMs) {
    host.count(counter, 1);
    host.table[0] += 1;
    switch (String.fromCharCode(packet.payloadByte(0))) {
      case 'p': return packet.pass();
      case 'd': return packet.drop();
      case 'c': return packet.consume();
      case 'r': return packet.reply(packet.payloadLength);
      case 'f':
        packet.setDestination((10 << 24) | (2 << 16) | 11, 7000);
        packet.fillChecksums();
        return packet.forward();
      case 'k': kept.push(packet.offset); return packet.keep();
      case 'g': for (const offset of kept.splice(0)) host.give(offset); return packet.consume();
      case 's': {
        const offset = host.take();
        if (offset < 0) return packet.drop();
        host.view.setUint8(offset + 42, 0x21);
        const length = host.writeUdp(offset, packet.destination, 5000, packet.source, 6000, 1);
        return host.send(offset, length, nowMs) === 1 ? packet.consume() : packet.drop();
      }
      case 't': throw new Error('told to');
      case 'n': return undefined;
      case 'l': packet.setPayloadLength(4000); return 3;
      case 'x': packet.setPayloadLength(-30); return packet.pass();
      case 'o': { const end = process.cpuUsage().user + 30_000; while (process.cpuUsage().user < end); return packet.consume(); }
    }
    return packet.pass();
  },
  onTick() { host.table[1] += 1; if (host.table[2] === 1) throw new Error('tick'); },
};`);

let bench: SwitchBench;

const datagram = (payload: string, port = PORT) =>
  fromClient({ destination: OURS })
    .udp({ sourcePort: 3333, destinationPort: port })
    .payload(payload);
const pass = (payload: string) => bench.pass(datagram(payload));
const tableWord = (index: number) =>
  bench.memory.words[(bench.memory.layout.applicationTables >> 2) + index];

beforeEach(async () => {
  bench = await SwitchBench.create();
  await runApplications(bench, planOf({ module: OBEDIENT }));
});

describe('verdicts', () => {
  it.each([
    ['pass', 'p', 'invalid-service'],
    ['drop', 'd', 'app-dropped'],
    ['consume', 'c', 'app-consumed'],
    ['throwing', 't', 'app-failed'],
    ['no verdict', 'n', 'app-failed'],
    ['a reply longer than its frame', 'l', 'app-failed'],
    ['a packet shorter than its headers', 'x', 'app-failed'],
  ])('%s', (_, payload, reason) => {
    expect(pass(payload)).toEqual({ reasons: [reason], sent: [] });
    expect(tableWord(0)).toBe(1);
  });

  it('a reply goes back, turned round, with right checksums', () => {
    const { reasons, sent } = pass('r, please');
    expect(reasons).toEqual(['app-replied']);
    expect(sent.map(({ egress }) => egress)).toEqual([EXT]);
    const wanted = fromClient({ source: OURS, destination: '10.1.0.10', identification: 0 })
      .udp({ sourcePort: PORT, destinationPort: 3333 })
      .payload('r, please');
    const fields = decodeFrame(wanted.bytes());
    const got = decodeFrame(sent[0].bytes);
    expect(got.udp).toMatchObject({ ...fields.udp });
    expect(got.ethernet).toMatchObject({ source: EXT_MAC, destination: macOf('10.1.0.10') });
    expect(got.ipv4).toMatchObject({ source: OURS, destination: '10.1.0.10', timeToLive: 64 });
  });

  it('what is forwarded takes the way to its new destination', () => {
    const { reasons, sent } = pass('forward');
    expect(reasons).toEqual(['app-forwarded']);
    expectSameFields(
      sent[0].bytes,
      toServer()
        .udp({ sourcePort: 3333, destinationPort: 7000 })
        .payload('forward')
        .padTo(sent[0].bytes.length)
        .bytes(),
    );
    expect(sent[0].egress).toBe(INT);
  });

  it('what is forwarded waits for a neighbor that is asked for, and is counted once', async () => {
    bench = await SwitchBench.create({ known: ['10.1.0.10'] });
    await runApplications(bench, planOf({ module: OBEDIENT }));
    const { reasons, sent } = pass('forward');
    expect(reasons).toEqual(['waiting']);
    expect(decodeFrame(sent[0].bytes).arp).toMatchObject({ targetAddress: B1 });
  });

  it('an application sends packets of its own', () => {
    const { reasons, sent } = pass('send');
    expect(reasons).toEqual(['app-consumed']);
    expect(decodeFrame(sent[0].bytes)).toMatchObject({
      ipv4: { source: OURS, destination: '10.1.0.10' },
      udp: { sourcePort: 5000, destinationPort: 6000 },
    });
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(0);
  });

  it('what an application sends to the control host is no longer than packet storage takes', async () => {
    const long = moduleFile(`
      let host;
      export default {
        name: 'long', match: { protocol: 'udp', port: ${PORT} }, setup(given) { host = given; },
        onPacket(packet, nowMs) {
          const offset = host.take() & ~2047;
          host.writeUdp(offset, packet.destination, 1, packet.source, 2, 2048 - 42);
          if (host.send(offset, 2048, nowMs) === 1) return packet.consume();
          return host.give(offset), packet.drop();
        },
      };`);
    await bench.publish({ control: CONTROL_CONFIGURATION });
    await runApplications(bench, planOf({ module: long, revision: 2 }));
    const asked = fromHost('10.2.0.1').udp({ destinationPort: PORT });
    expect(bench.pass(asked, HOST)).toEqual({ reasons: ['app-dropped'], sent: [] });
  });

  it('has no more frames in hand than it may, and gives them back', () => {
    for (let i = 0; i < 8; i++) bench.inject(datagram('keep'), EXT);
    bench.turn();
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(8);
    bench.inject(datagram('keep'), EXT);
    bench.turn();
    expect(bench.count('app-dropped')).toBe(1);
    expect(bench.count('app-consumed')).toBe(8);
    pass('give');
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(0);
    expect(shareOf(bench).namedCounters()).toEqual({ seen: 10 });
  });
});

describe('packets that an application does not see', () => {
  it.each([
    ['of another port', datagram('d', PORT + 2), 'invalid-service'],
    ['of another protocol', request({ ...SYN, destinationPort: PORT }, { destination: OURS }), ''],
    [
      'with a damaged checksum',
      fromClient({ destination: OURS }).udp({ destinationPort: PORT, checksum: 7 }).payload('d'),
      'bad-transport-checksum',
    ],
    [
      'in our own name',
      fromClient({ source: '10.2.0.1', destination: OURS })
        .udp({ destinationPort: PORT })
        .payload('d'),
      'bad-ip-source',
    ],
  ])('%s', (_, frame, reason) => {
    const { reasons } = bench.pass(frame);
    if (reason !== '') expect(reasons).toEqual([reason]);
    expect(tableWord(0)).toBe(0);
  });

  it('of the control host are in the name of another or on a VLAN, and all others are seen', async () => {
    await bench.publish({ control: CONTROL_CONFIGURATION });
    const seen = (source: string, isTagged = false) => {
      const before = tableWord(0);
      const ethernet = packet().ethernet({ source: HOST_MAC_TEXT, destination: PEER_MAC_TEXT });
      const frame = (isTagged ? ethernet.vlan(7) : ethernet)
        .ipv4({ source, destination: '10.2.0.1' })
        .udp({ destinationPort: PORT })
        .payload('d');
      return [bench.pass(frame, HOST).reasons, tableWord(0) - before];
    };
    expect(seen(CONTROL)).toEqual([['app-dropped'], 1]);
    expect(seen('192.0.2.1')).toEqual([['bad-ip-source'], 0]);
    expect(seen('10.2.0.1')).toEqual([['bad-ip-source'], 0]);
    expect(seen(CONTROL, true)).toEqual([['unknown-ethertype'], 0]);
  });

  it('pass through in their order between those that end', () => {
    for (const payload of ['d', 'p', 'c', 'p', 'r']) bench.inject(datagram(payload), EXT);
    bench.inject(request(SYN), EXT);
    const sent = bench.settle();
    expect(bench.count('invalid-service')).toBe(2);
    expect(bench.count('new-connection')).toBe(1);
    expect(sent.map(({ egress }) => egress).sort()).toEqual([EXT, INT]);
  });
});

describe('an application that fails', () => {
  it('is switched off after as many failures as it may have; its packets go on without it', () => {
    for (let i = 0; i < 3; i++) expect(pass('t').reasons).toEqual(['app-failed']);
    expect(pass('t').reasons).toEqual(['invalid-service']);
    const share = shareOf(bench);
    expect(share.word(SHARE_STATE)).toBe(APPLICATION_FAILED);
    expect(share.word(SHARE_FAILURES)).toBe(3);
    expect(share.error()).toMatch(/^Error: told to \(application-\d+\.mjs:\d+\)$/);
    expect(bench.processors[0].applications.isInUse).toBe(false);
  });

  it('goes on after failures that lie far apart', () => {
    for (let i = 0; i < 9; i++) {
      expect(pass('t').reasons).toEqual(['app-failed']);
      for (let half = 0; half < 22; half++) bench.advance(500);
    }
    expect(shareOf(bench).word(SHARE_STATE)).toBe(APPLICATION_RUNS);
  });

  it('is switched off at once when it takes many times its budget', async () => {
    await runApplications(
      bench,
      planOf({ module: OBEDIENT, revision: 2, budgetMicroseconds: 1000 }),
    );
    expect(pass('o').reasons).toEqual(['app-consumed']);
    const share = shareOf(bench);
    expect(share.word(SHARE_OVERRUNS)).toBe(1);
    expect(share.word(SHARE_STATE)).toBe(APPLICATION_FAILED);
    expect(share.error()).toMatch(/^took \d+ µs, 1000 µs are its budget$/);
  });

  it('gives back its frames, and its packets are dropped if that was asked for', async () => {
    const match = [{ protocol: 'udp', port: PORT }] as const;
    const plan = planOf({ module: OBEDIENT, revision: 2, whenOff: 'drop', match });
    await runApplications(bench, plan);
    pass('c');
    bench.inject(datagram('k'), EXT);
    bench.turn();
    for (let i = 0; i < 3; i++) bench.inject(datagram('t'), EXT);
    bench.settle();
    expect(shareOf(bench).word(SHARE_FRAMES)).toBe(0);
    expect(pass('r').reasons).toEqual(['app-dropped']);
    bench.restart(0);
    await bench.processors[0].applications.load(bench.now);
    bench.turn();
    expect(pass('r').reasons).toEqual(['app-dropped']);
  });

  it('stays off when the processor starts again, until its plan has another revision', async () => {
    for (let i = 0; i < 3; i++) pass('t');
    bench.restart(0);
    await bench.processors[0].applications.load(bench.now);
    bench.turn();
    expect(pass('r').reasons).toEqual(['invalid-service']);
    await runApplications(bench, planOf({ module: OBEDIENT, revision: 2 }));
    expect(pass('r').reasons).toEqual(['app-replied']);
  });

  it('by its tick, likewise', () => {
    bench.memory.words[(bench.memory.layout.applicationTables >> 2) + 2] = 1;
    for (let i = 0; i < 3; i++) bench.advance(6);
    expect(shareOf(bench).word(SHARE_STATE)).toBe(APPLICATION_FAILED);
  });

  it.each([
    ['a file that is not there', '/nowhere/at-all.mjs', /Cannot find|ENOENT|Failed to load/],
    ['no onPacket', moduleFile('export default { match: {} };'), /exports no function onPacket/],
    ['no match', moduleFile('export function onPacket() {}'), /exports no match/],
    [
      'a wrong match',
      moduleFile('export const match = { port: 70000 };\nexport function onPacket() {}'),
      /no port and no range/,
    ],
    [
      'a setup that throws',
      moduleFile(
        'export const match = {};\nexport function setup() { throw new TypeError("no"); }\nexport function onPacket() {}',
      ),
      /^TypeError: no \(/,
    ],
    [
      'a setup that throws something strange',
      moduleFile(
        'export const match = {};\nexport function setup() { throw null; }\nexport function onPacket() {}',
      ),
      /^null$/,
    ],
  ])('to be loaded is broken, and nothing else: %s', async (_, module, error) => {
    await runApplications(
      bench,
      planOf({ module: OBEDIENT }),
      planOf({ name: 'bad', slot: 1, module }),
    );
    expect(shareOf(bench, 1).word(SHARE_STATE)).toBe(APPLICATION_BROKEN);
    expect(shareOf(bench, 1).error()).toMatch(error);
    expect(pass('r').reasons).toEqual(['app-replied']);
  });

  it('by hanging is known by its mark, and off on all processors', async () => {
    bench = await SwitchBench.create({ queues: [[0], [1]] });
    await runApplications(bench, planOf({ module: OBEDIENT }));
    const set = (word: number, value: number) => {
      bench.memory.words[bench.memory.processorWord(0, word)] = value;
    };
    set(PROCESSOR_APPLICATION, 1);
    set(PROCESSOR_HEARTBEAT, bench.now);
    set(PROCESSOR_DIED_AT, bench.now + 3500);
    bench.restart(0);
    await bench.processors[0].applications.load(bench.now);
    bench.advance(5);
    for (const processor of [0, 1]) {
      expect(shareOf(bench, 0, processor).word(SHARE_STATE)).toBe(APPLICATION_HUNG);
      expect(bench.processors[processor].applications.isInUse).toBe(false);
    }
  });

  it('is not blamed for a processor that was killed while it was running', async () => {
    const set = (word: number, value: number) => {
      bench.memory.words[bench.memory.processorWord(0, word)] = value;
    };
    set(PROCESSOR_APPLICATION, 1);
    set(PROCESSOR_DIED_AT, bench.now + 20);
    bench.restart(0);
    await bench.processors[0].applications.load(bench.now);
    bench.turn();
    expect(pass('r').reasons).toEqual(['app-replied']);
  });
});

describe('plans', () => {
  it('that are new are noticed, and what they do not change is left alone', async () => {
    pass('c');
    writePlans(bench.memory, [planOf({ module: OBEDIENT })]);
    expect(bench.processors[0].applications.loader.isStale).toBe(false);
    bench.advance(2);
    expect(bench.processors[0].applications.loader.isStale).toBe(true);
    const before = bench.processors[0].applications.loader.loaded[0];
    await bench.processors[0].applications.load(bench.now);
    expect(bench.processors[0].applications.loader.loaded[0]).toBe(before);
    await runApplications(bench);
    expect(bench.processors[0].applications.loader.loaded).toEqual([]);
    expect(pass('r').reasons).toEqual(['invalid-service']);
  });

  it('run applications in their order: the first to end a packet has it', async () => {
    const first = moduleFile(`export const match = { protocol: 'udp', port: ${PORT} };
      export const onPacket = (p) => (p.payloadByte(1) === 0x31 ? p.drop() : p.pass());`);
    await runApplications(
      bench,
      planOf({ name: 'first', slot: 1, module: first }),
      planOf({ module: OBEDIENT }),
    );
    expect(pass('r1').reasons).toEqual(['app-dropped']);
    expect(pass('r2').reasons).toEqual(['app-replied']);
  });

  it('for one processor are for the first', async () => {
    bench = await SwitchBench.create({ queues: [[0], [1]] });
    await runApplications(bench, planOf({ module: OBEDIENT, processors: 'one' }));
    const counts = bench.processors.map(({ applications }) => applications.loader.loaded.length);
    expect(counts).toEqual([1, 0]);
  });

  it('give ticks', () => {
    const before = tableWord(1);
    for (let i = 0; i < 10; i++) bench.advance(5);
    expect(tableWord(1) - before).toBe(10);
    expect(bench.processors[0].applications.sleepLimitMs(50)).toBe(5);
  });
});
