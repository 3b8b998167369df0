// ARP through the whole switch: whom it answers, from whom it learns, whom it does not believe.

import { describe, expect, it } from 'vitest';
import { type ArpSpec, packet } from '../../test/support/packet-builder.ts';
import { decodeFrame } from '../../test/support/packet-fields.ts';
import {
  B1,
  CLIENT,
  EXT,
  EXT_MAC,
  INT,
  INT_MAC,
  macOf,
  play,
  type Row,
  SwitchBench,
  VIP,
} from '../../test/support/switch-bench.ts';
import { request, SYN } from '../../test/support/switch-packets.ts';
import { INTERFACE_LINK_UP } from '../memory/layout.ts';
import { parseAddress } from '../wire/ipv4.ts';

const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const ASKER = '10.1.0.33';
const NO_MAC = '00:00:00:00:00:00';

/** From `ASKER`, to everybody. */
const arp = (spec: ArpSpec = {}, to = BROADCAST) =>
  packet()
    .ethernet({ source: macOf(ASKER), destination: to })
    .arp({
      operation: 'request',
      senderMac: macOf(ASKER),
      senderAddress: ASKER,
      targetAddress: VIP,
      ...spec,
    })
    .padTo(60);

const answerTo = (target: string, asker = ASKER) => ({
  egress: EXT,
  frame: packet()
    .ethernet({ source: EXT_MAC, destination: macOf(ASKER) })
    .arp({
      operation: 'reply',
      senderMac: EXT_MAC,
      senderAddress: target,
      targetMac: macOf(ASKER),
      targetAddress: asker,
    })
    .padTo(60),
});

const ROWS: Row[] = [
  {
    name: 'who has the address of a service',
    packetIn: arp(),
    reason: 'arp-answered',
    packetOut: [answerTo(VIP)],
  },
  {
    name: "who has the interface's address",
    packetIn: arp({ targetAddress: '10.1.0.1' }),
    reason: 'arp-answered',
    packetOut: [answerTo('10.1.0.1')],
  },
  {
    name: 'asked of us alone (a poll)',
    packetIn: arp({}, EXT_MAC),
    reason: 'arp-answered',
    packetOut: [answerTo(VIP)],
  },
  {
    name: 'a probe for our address (RFC 5227) is answered',
    packetIn: arp({ senderAddress: '0.0.0.0' }),
    reason: 'arp-answered',
    packetOut: [answerTo(VIP, '0.0.0.0')],
  },
  {
    name: "another interface's address",
    packetIn: arp({ targetAddress: '10.2.0.1' }),
    reason: 'arp-ignored',
  },
  {
    name: "somebody else's address",
    packetIn: arp({ targetAddress: CLIENT }),
    reason: 'arp-ignored',
  },
  {
    name: 'a claim to the address of a service',
    packetIn: arp({ senderAddress: VIP, targetAddress: VIP }),
    reason: 'arp-ignored',
  },
  {
    name: 'an answer that nobody asked for',
    packetIn: arp({ operation: 'reply', targetAddress: CLIENT }),
    reason: 'arp-ignored',
  },
  { name: 'RARP', packetIn: arp({ operation: 3 }), reason: 'arp-ignored' },
  {
    name: 'a message between two others',
    packetIn: arp({}, macOf(CLIENT)),
    reason: 'not-for-us',
  },
  { name: 'cut short', packetIn: arp().bytes().slice(0, 41), reason: 'bad-arp' },
  { name: 'not about Ethernet', packetIn: arp({ hardwareType: 6 }), reason: 'bad-arp' },
  { name: 'not about IPv4', packetIn: arp({ protocolType: 0x86dd }), reason: 'bad-arp' },
  { name: 'MAC addresses of 8 bytes', packetIn: arp({ hardwareLength: 8 }), reason: 'bad-arp' },
  { name: 'addresses of 16 bytes', packetIn: arp({ protocolLength: 16 }), reason: 'bad-arp' },
];

/** The MAC address known for an address on an interface; undefined: none. */
function known(bench: SwitchBench, on: number, address: string): string | undefined {
  const { neighbors } = bench.processors[0];
  const index = neighbors.find(on, parseAddress(address));
  if (index < 0 || neighbors.readMac(index) === 0) return undefined;
  const digits = Buffer.alloc(6);
  digits.writeUInt16BE(neighbors.macHigh);
  digits.writeInt32BE(neighbors.macLow, 2);
  return digits.toString('hex').replace(/..(?!$)/g, '$&:');
}

describe('ARP', () => {
  it.each(ROWS)('$name', async (row) => play(await SwitchBench.create(), row));

  it('learns from whoever asks for us', async () => {
    const bench = await SwitchBench.create();
    bench.pass(arp());
    expect(known(bench, EXT, ASKER)).toBe(macOf(ASKER));
  });

  it.each([
    ['asks for another', arp({ targetAddress: CLIENT })],
    ['claims our address', arp({ senderAddress: '10.1.0.1' })],
    ['has a group address', arp({ senderMac: '03:00:00:00:00:01' })],
    ['has no MAC address', arp({ senderMac: NO_MAC })],
  ])('learns nothing from one who %s', async (_who, frame) => {
    const bench = await SwitchBench.create();
    bench.pass(frame);
    expect(known(bench, EXT, ASKER)).toBeUndefined();
    expect(known(bench, EXT, '10.1.0.1')).toBeUndefined();
  });

  it('follows a known neighbor that announces another MAC address', async () => {
    const bench = await SwitchBench.create();
    bench.pass(arp());
    const moved = arp({
      senderMac: '02:00:00:00:00:77',
      senderAddress: ASKER,
      targetAddress: ASKER,
    });
    expect(bench.pass(moved).reasons).toEqual(['arp-learned']);
    expect(known(bench, EXT, ASKER)).toBe('02:00:00:00:00:77');
  });

  it('does not mistake an interface for another', async () => {
    const bench = await SwitchBench.create();
    bench.pass(arp());
    expect(known(bench, INT, ASKER)).toBeUndefined();
  });

  it('polls a neighbor that has been silent, at its MAC address, and packets go on', async () => {
    const bench = await SwitchBench.create({ known: [CLIENT] });
    const fromB1 = packet()
      .ethernet({ source: macOf(B1), destination: INT_MAC })
      .arp({ senderMac: macOf(B1), senderAddress: B1, targetAddress: '10.2.0.1' });
    bench.pass(fromB1, INT);
    bench.pass(request(SYN));
    bench.advance(31_000);
    bench.settle();
    const stale = bench.pass(request(SYN));
    expect(stale.reasons).toEqual(['connection']);
    bench.advance(5000);
    const { sent } = bench.pass(request(SYN));
    const asks = sent.filter(({ bytes }) => decodeFrame(bytes).arp !== undefined);
    expect(sent.length - asks.length).toBe(1);
    expect(decodeFrame(asks[0].bytes)).toMatchObject({
      ethernet: { destination: macOf(B1), source: INT_MAC },
      arp: { operation: 1, senderAddress: '10.2.0.1', senderMac: INT_MAC, targetAddress: B1 },
    });
  });
});

describe('announcements', () => {
  it('come twice for every address, each where it belongs, and again when a link comes up', async () => {
    const bench = await SwitchBench.create();
    const heard = () => {
      const found: string[] = [];
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < 70; i++) {
          bench.advance(1);
          for (const { egress, bytes } of bench.collect()) {
            const { arp: said, ethernet } = decodeFrame(bytes);
            expect(said).toMatchObject({ operation: 1, targetAddress: said?.senderAddress });
            expect(ethernet?.destination).toBe(BROADCAST);
            found.push(`${egress} ${said?.senderAddress}`);
          }
        }
        bench.advance(2000);
      }
      return found.sort();
    };
    expect(heard()).toEqual([]);
    const services = [
      {
        name: 'new',
        address: '10.1.0.200',
        protocol: 'tcp',
        port: 80,
        backends: [{ name: 'b', address: B1 }],
      },
    ];
    await bench.publish({ services });
    const all = [
      '0 10.1.0.1',
      '0 10.1.0.1',
      '0 10.1.0.200',
      '0 10.1.0.200',
      '1 10.2.0.1',
      '1 10.2.0.1',
    ];
    expect(heard()).toEqual(all);
    // Nothing is said of what has not changed.
    await bench.publish({ services: [{ ...services[0], port: 81 }] });
    expect(heard()).toEqual([]);
    bench.setInterface(INT, INTERFACE_LINK_UP, 0);
    expect(heard()).toEqual([]);
    bench.setInterface(INT, INTERFACE_LINK_UP, 1);
    expect(heard()).toEqual(all);
  });
});
