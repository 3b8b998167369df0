// How connections begin, where they stay, and when a SYN begins the next one of the same name.

import { describe, expect, it } from 'vitest';
import type { TcpSpec } from '../../test/support/packet-builder.ts';
import {
  B1,
  B2,
  DEFAULT_SERVICES,
  INT,
  play,
  SwitchBench,
  service,
} from '../../test/support/switch-bench.ts';
import {
  ACK,
  answer,
  handshake,
  request,
  requestAtServer,
  SYN,
} from '../../test/support/switch-packets.ts';

describe('new connections', () => {
  it('spreads connections over the backends, and each stays where it is', async () => {
    const bench = await SwitchBench.create();
    const first = bench.pass(request({ ...SYN, sourcePort: 1 }));
    const second = bench.pass(request({ ...SYN, sourcePort: 2 }));
    const again = bench.pass(request({ ...ACK, sourcePort: 1 }));
    const macs = [first, second, again].map(({ sent }) =>
      Buffer.from(sent[0].bytes.subarray(0, 6)).toString('hex', 2),
    );
    expect(macs).toEqual(['0a02000b', '0a02000c', '0a02000b']);
  });

  it('drops what two services would ask of one server in the same words', async () => {
    const one = [{ name: 'b1', address: B1, port: 8080 }];
    const services = [
      service('web', { backends: one }),
      service('other', { port: 90, backends: one }),
    ];
    const bench = await SwitchBench.create({ configuration: { services } });
    expect(bench.pass(request(SYN)).reasons).toEqual(['new-connection']);
    expect(bench.pass(request({ ...SYN, destinationPort: 90 })).reasons).toEqual(['tuple-in-use']);
  });

  it('chooses another server where one could not tell two connections apart', async () => {
    const services = [service('web'), service('other', { port: 90 })];
    const bench = await SwitchBench.create({ configuration: { services } });
    bench.pass(request(SYN));
    const { reasons, sent } = bench.pass(request({ ...SYN, destinationPort: 90 }));
    expect(reasons).toEqual(['new-connection']);
    expect(sent[0].bytes[5]).toBe(12);
  });

  it('keeps connections where they are when the configuration changes, and sends new ones on', async () => {
    const bench = await SwitchBench.create();
    handshake(bench);
    const onlySecond = [{ name: 'b2', address: B2, port: 8080 }];
    await bench.publish({ services: [service('web', { backends: onlySecond })] });
    await play(bench, {
      name: '',
      packetIn: request(ACK),
      reason: 'connection',
      packetOut: [{ egress: INT, frame: requestAtServer(ACK) }],
    });
    for (const sourcePort of [1, 2, 3]) {
      const { sent } = bench.pass(request({ ...SYN, sourcePort }));
      expect(sent[0].bytes[5]).toBe(12);
    }
    await bench.publish({ services: DEFAULT_SERVICES.slice(1) });
    expect(bench.pass(request({ ...SYN, sourcePort: 4 })).reasons).toEqual([
      'reset-invalid-service',
    ]);
  });
});

describe('a SYN of a connection that is over', () => {
  const closed = (bench: SwitchBench) => {
    handshake(bench);
    bench.pass(request({ ...ACK, flags: ['FIN', 'ACK'] }));
    bench.pass(answer({ ...ACK, flags: ['FIN', 'ACK'] }), INT);
    bench.pass(request({ ...ACK, sequence: 1002 }));
  };

  it('begins the next one (TIME_WAIT)', async () => {
    const bench = await SwitchBench.create();
    closed(bench);
    const { reasons, sent } = bench.pass(request({ ...SYN, sequence: 70_000 }));
    expect(reasons).toEqual(['new-connection']);
    expect(sent[0].bytes[5]).toBe(12);
  });

  it('begins the next one after a reset', async () => {
    const bench = await SwitchBench.create();
    handshake(bench);
    bench.pass(answer({ flags: ['RST'], sequence: 9001 }), INT);
    expect(bench.pass(request(SYN)).reasons).toEqual(['new-connection']);
  });

  it('begins the next one after a FIN of the client, of which no more passes here', async () => {
    const backends = [{ name: 'b1', address: B1, port: 80 }];
    const services = [service('web', { forwarding: 'dsr', backends })];
    const bench = await SwitchBench.create({ configuration: { services } });
    bench.pass(request(SYN));
    bench.pass(request(ACK));
    expect(bench.pass(request(SYN)).reasons).toEqual(['connection']);
    bench.pass(request({ ...ACK, flags: ['FIN', 'ACK'] }));
    expect(bench.pass(request(SYN)).reasons).toEqual(['new-connection']);
    expect(bench.pass(request(ACK)).reasons).toEqual(['connection']);
  });

  it('ends nothing when it is damaged or cannot go on', async () => {
    const bench = await SwitchBench.create();
    closed(bench);
    bench.pass(request({ ...SYN, checksum: 1 }));
    bench.pass(request(SYN, { timeToLive: 1 }));
    expect(bench.pass(answer(ACK), INT).reasons).toEqual(['connection']);
  });

  it('is passed on while the connection is alive', async () => {
    const bench = await SwitchBench.create();
    handshake(bench);
    expect(bench.pass(request(SYN)).reasons).toEqual(['connection']);
  });
});

describe('a segment of no connection', () => {
  const adopting = [service('web', { 'on-down': 'rebalance', health: { type: 'tcp' } })];
  const create = (services: object[] = adopting) =>
    SwitchBench.create({ configuration: { services } });

  it('begins one where connections are moved from servers that are down', async () => {
    const bench = await create();
    expect(bench.pass(request(ACK)).reasons).toEqual(['new-connection']);
    expect(bench.pass(request(ACK)).reasons).toEqual(['connection']);
    // A server that knows nothing of it says so, and that ends it.
    const reset = answer({ flags: ['RST'], sequence: 9001 });
    expect(bench.pass(reset, INT).reasons).toEqual(['connection']);
    bench.advance(11_000);
    for (let i = 0; i < 8; i++) bench.advance(1000);
    expect(bench.pass(answer(ACK), INT).reasons).toEqual(['reset-unknown-connection']);
  });

  it.each<[string, TcpSpec]>([
    ['reset', { ...ACK, flags: ['RST', 'ACK'] }],
    ['end', { ...ACK, flags: ['FIN', 'ACK'] }],
    ['SYN-ACK', { ...ACK, flags: ['SYN', 'ACK'] }],
    ['segment without ACK', { ...ACK, flags: ['PSH'] }],
  ])('does not when it is a %s', async (_, tcp) => {
    const bench = await create();
    expect(bench.pass(request(tcp)).reasons).not.toContain('new-connection');
  });

  it('does not where nothing is moved, nor with direct server return', async () => {
    const bench = await create([service('web')]);
    expect(bench.pass(request(ACK)).reasons).toEqual(['reset-unknown-connection']);
    const direct = { ...(adopting[0] as object), forwarding: 'dsr' };
    const backends = [{ name: 'b1', address: B1, port: 80 }];
    const other = await create([{ ...direct, backends }]);
    expect(other.pass(request(ACK)).reasons).toEqual(['reset-unknown-connection']);
  });
});
