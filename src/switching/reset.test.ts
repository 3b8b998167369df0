// Step 208: what is answered with a reset, with which numbers (RFC 9293 §3.10.7.1), and what never is.

import { describe, expect, it } from 'vitest';
import { viewOf } from '../../test/support/bytes.ts';
import type { TcpSpec } from '../../test/support/packet-builder.ts';
import { packet } from '../../test/support/packet-builder.ts';
import { decodeFrame } from '../../test/support/packet-fields.ts';
import {
  B1,
  CLIENT,
  EXT,
  INT,
  INT_MAC,
  macOf,
  play,
  type Row,
  SwitchBench,
  VIP,
} from '../../test/support/switch-bench.ts';
import {
  ACK,
  answer,
  CLIENT_PORT,
  query,
  request,
  SYN,
  toClient,
} from '../../test/support/switch-packets.ts';
import { PacketContext } from './packet-context.ts';
import { writeReset } from './reset.ts';

const OPTIONS = Uint8Array.of(0x94, 0x04, 0x00, 0x00);

/** The reset that comes back to the client. */
const reset = (tcp: TcpSpec, destinationPort = CLIENT_PORT) => [
  {
    egress: EXT,
    frame: toClient({ timeToLive: 64, dontFragment: true })
      .tcp({ sourcePort: 99, destinationPort, window: 0, ...tcp })
      .padTo(60),
  },
];
const stray = (tcp: TcpSpec) => request({ destinationPort: 99, ...tcp });

const ANSWERED: Row[] = [
  {
    name: 'SYN: acknowledged with one',
    packetIn: stray(SYN),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST', 'ACK'], acknowledgment: 1001 }),
  },
  {
    name: 'SYN with data: acknowledged with all of it',
    packetIn: stray(SYN).payload('early'),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST', 'ACK'], acknowledgment: 1006 }),
  },
  {
    name: 'SYN with options and padding: neither counts',
    packetIn: request(
      { ...SYN, destinationPort: 99, options: OPTIONS },
      { options: OPTIONS },
    ).padTo(90),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST', 'ACK'], acknowledgment: 1001 }),
  },
  {
    name: 'SYN whose sequence number wraps',
    packetIn: stray({ ...SYN, sequence: 0xffffffff }),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST', 'ACK'], acknowledgment: 0 }),
  },
  {
    name: 'ACK: the reset continues where it acknowledges',
    packetIn: stray({ ...ACK, acknowledgment: 0xdeadbeef }),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST'], sequence: 0xdeadbeef }),
  },
  {
    name: 'SYN-ACK',
    packetIn: stray({ flags: ['SYN', 'ACK'], sequence: 5, acknowledgment: 77 }),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST'], sequence: 77 }),
  },
  {
    name: 'FIN-ACK with data',
    packetIn: stray({ flags: ['FIN', 'ACK'], acknowledgment: 77 }).payload('bye'),
    reason: 'reset-invalid-service',
    packetOut: reset({ flags: ['RST'], sequence: 77 }),
  },
  {
    name: 'a segment of no connection, to a service',
    packetIn: request(ACK),
    reason: 'reset-unknown-connection',
    packetOut: reset({ sourcePort: 80, flags: ['RST'], sequence: 9001 }),
  },
  {
    name: 'a new connection to a service without a weight',
    packetIn: request({ ...SYN, destinationPort: 82 }),
    reason: 'reset-no-backend',
    packetOut: reset({ sourcePort: 82, flags: ['RST', 'ACK'], acknowledgment: 1001 }),
  },
  {
    name: "a server's segment of no connection, in the client's name",
    packetIn: answer(ACK),
    ingress: INT,
    reason: 'reset-unknown-connection',
    packetOut: [
      {
        egress: INT,
        frame: packet()
          .ethernet({ source: INT_MAC, destination: macOf(B1) })
          .ipv4({ source: CLIENT, destination: B1, dontFragment: true })
          .tcp({
            sourcePort: CLIENT_PORT,
            destinationPort: 8080,
            flags: ['RST'],
            sequence: 9001,
            window: 0,
          })
          .padTo(60),
      },
    ],
  },
];

const SILENT: Row[] = [
  { name: 'a reset', packetIn: stray({ flags: ['RST'] }), reason: 'reset-received' },
  {
    name: 'a reset with ACK, to a service',
    packetIn: request({ flags: ['RST', 'ACK'] }),
    reason: 'reset-received',
  },
  {
    name: 'a reset of a server',
    packetIn: answer({ flags: ['RST'] }),
    ingress: INT,
    reason: 'reset-received',
  },
  {
    name: 'a damaged segment',
    packetIn: stray({ ...SYN, checksum: 1 }),
    reason: 'bad-transport-checksum',
  },
  { name: 'UDP', packetIn: query({ destinationPort: 99 }), reason: 'invalid-service' },
  {
    name: 'a segment that is not for us at all',
    packetIn: request(SYN, { destination: '10.1.0.50' }),
    reason: 'not-ours',
  },
];

describe('resets', () => {
  it.each(ANSWERED)('answer $name', async (row) => play(await SwitchBench.create(), row));
  it.each(SILENT)('never answer $name', async (row) => play(await SwitchBench.create(), row));

  it('are only so many in a second', async () => {
    const bench = await SwitchBench.create({ configuration: { 'rate-limits': { resets: 3 } } });
    const reasons = () => bench.pass(stray(SYN)).reasons[0];
    const seen = [reasons(), reasons(), reasons(), reasons()];
    expect(seen).toEqual([...new Array(3).fill('reset-invalid-service'), 'reset-rate-limited']);
    bench.advance(334);
    expect([reasons(), reasons()]).toEqual(['reset-invalid-service', 'reset-rate-limited']);
  });

  it('go back with the VLAN tag that the segment came with', async () => {
    const bench = await SwitchBench.create();
    const { sent } = bench.pass(
      packet()
        .ethernet({ source: macOf(CLIENT), destination: '02:00:0a:01:00:01' })
        .vlan(7)
        .ipv4({ source: CLIENT, destination: VIP })
        .tcp({ ...SYN, destinationPort: 99 }),
    );
    expect(decodeFrame(sent[0].bytes)).toMatchObject({
      vlans: [{ identifier: 7 }],
      tcp: { flags: ['RST', 'ACK'], checksumValid: true },
    });
  });

  it('acknowledge data and FIN of a segment that has neither SYN nor ACK', () => {
    // The filter drops such a segment for its flags; the arithmetic of the RFC holds all the same.
    const frame = request({ flags: ['FIN'], sequence: 500 })
      .payload('data')
      .bytes();
    const view = viewOf(frame, 64, 64);
    const context = new PacketContext();
    context.begin(64, frame.length, 0);
    context.networkOffset = 64 + 14;
    context.transportOffset = 64 + 34;
    context.packetEnd = 64 + frame.length;
    context.tcpFlags = 1;
    const length = writeReset(view, context);
    const answered = new Uint8Array(view.buffer, 64, length);
    expect(decodeFrame(answered).tcp).toMatchObject({
      flags: ['RST', 'ACK'],
      sequence: 0,
      acknowledgment: 505,
    });
  });
});

describe('a full table', () => {
  const CONNECTIONS = 1024;
  const full = async () => {
    const bench = await SwitchBench.create({ connections: CONNECTIONS });
    for (let i = 0; i < CONNECTIONS; i++) {
      const sourcePort = 1000 + i;
      bench.inject(request({ ...SYN, sourcePort }), EXT);
      bench.turn();
      bench.inject(
        answer({ flags: ['SYN', 'ACK'], destinationPort: sourcePort }, {}, macOwner(bench)),
        INT,
      );
      bench.turn();
      bench.inject(request({ ...ACK, sourcePort }), EXT);
      bench.turn();
      bench.collect();
    }
    bench.settle();
    return bench;
  };
  /** The server whom the last connection went to. */
  const macOwner = (bench: SwitchBench) => `10.2.0.${bench.collect().at(-1)?.bytes[5]}`;

  it('refuses new connections by a reset, keeps the established, and counts both', async () => {
    const bench = await full();
    expect(bench.count('new-connection')).toBe(CONNECTIONS);
    await play(bench, {
      name: '',
      packetIn: request(SYN),
      reason: 'reset-table-full',
      packetOut: reset({ sourcePort: 80, flags: ['RST', 'ACK'], acknowledgment: 1001 }),
    });
    expect(bench.pass(query()).reasons).toEqual(['table-full']);
    for (let i = 0; i < CONNECTIONS; i++) {
      bench.inject(request({ ...ACK, sourcePort: 1000 + i }), EXT);
      bench.turn();
      bench.collect();
    }
    bench.settle();
    expect(bench.count('connection')).toBe(CONNECTIONS * 3);
  });

  it('takes new ones again when old ones have ended', async () => {
    const bench = await full();
    bench.pass(request({ flags: ['RST'], sourcePort: 1000 }));
    bench.advance(11_000);
    for (let i = 0; i < 5000; i++) bench.advance(1);
    bench.settle();
    expect(bench.pass(request(SYN)).reasons).toEqual(['new-connection']);
  });
});
