import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALICE, BOB, FAX, NgRelay, portIn, sdpOf } from '../../test/support/ng-relay.ts';
import { rtp } from '../../test/support/relay-bench.ts';
import { type Bencoded, decode, type Encodable, encode } from './bencode.ts';

describe('other commands', () => {
  it('ping', () => {
    expect(new NgRelay().ask('ping')).toEqual({ result: 'pong' });
  });

  it('delete gives the call away with its figures, once', () => {
    const relay = new NgRelay();
    relay.offer();
    const a = portIn(relay.answer());
    relay.bench.send({ from: `${ALICE}:4000`, to: `10.1.0.1:${a}`, payload: rtp() });
    const names = { 'call-id': 'c1', 'from-tag': 'A', 'to-tag': 'B' };
    expect(relay.ask('delete', { ...names, 'from-tag': 'X' })).toEqual({
      result: 'ok',
      warning: "Call-ID not found or tags didn't match",
    });
    expect(relay.ask('delete', names)).toMatchObject({
      result: 'ok',
      totals: { RTP: { packets: 1, bytes: 172, errors: 0 }, RTCP: { packets: 0 } },
    });
    expect(relay.ask('delete', names)).toHaveProperty('warning');
    expect(relay.bench.calls.size).toBe(0);
  });

  it('query tells of both parties', () => {
    const relay = new NgRelay();
    const b = portIn(relay.offer());
    const a = portIn(relay.answer());
    for (const sequence of [1, 2, 4]) {
      const payload = rtp({ sequence, timestamp: sequence * 160 });
      relay.bench.send({ from: '203.0.113.5:5000', to: `10.1.0.1:${a}`, payload });
      relay.bench.nowMs += 20;
    }
    const answer = relay.ask('query', { 'call-id': 'c1' });
    expect(answer).toMatchObject({ result: 'ok', totals: { RTP: { packets: 3, bytes: 516 } } });
    const [alice, bob] = [answer.tags.A, answer.tags.B];
    expect(alice).toMatchObject({ tag: 'A', 'in dialogue with': 'B' });
    expect(alice.medias[0]).toMatchObject({ index: 1, type: 'audio', protocol: 'RTP/AVP' });
    expect(alice.medias[0].streams[0]).toMatchObject({
      'local address': '10.1.0.1',
      'local port': a,
      endpoint: { family: 'IPv4', address: '203.0.113.5', port: 5000 },
      'advertised endpoint': { address: ALICE, port: 4000 },
      flags: ['RTP', 'filled', 'confirmed'],
      SSRC: 0x1234_5678,
      stats: { packets: 3, bytes: 516, errors: 0, 'packets lost': 1, 'SSRC changes': 0 },
    });
    expect(bob.medias[0].streams[1]).toMatchObject({
      'local port': b + 1,
      flags: ['RTCP', 'filled'],
      stats: { packets: 0 },
    });
    expect(relay.ask('query', { 'call-id': 'c2' })).toEqual({
      result: 'error',
      'error-reason': 'Unknown call-id',
    });
  });

  it('list tells Call-IDs, as many as are wanted', () => {
    const relay = new NgRelay();
    for (let i = 0; i < 40; i += 1) relay.offer({ 'call-id': `c${i}` });
    expect(relay.ask('list').calls).toHaveLength(32);
    expect(relay.ask('list', { limit: 2 }).calls).toEqual(['c0', 'c1']);
    expect(relay.ask('list', { limit: '100' }).calls).toHaveLength(40);
  });

  it('list tells as many Call-IDs as one datagram can bear', () => {
    const relay = new NgRelay();
    for (let i = 0; i < 80; i += 1) relay.offer({ 'call-id': `${i}`.padEnd(1024, 'x') });
    const answer = relay.ask('list', { limit: 1000 });
    expect(answer.calls).toHaveLength(58);
    expect(encode(answer).length).toBeLessThan(65_000);
  });

  it('refusals are logged once in a second, with how many there were', () => {
    const relay = new NgRelay();
    const refuse = () => relay.ask('query', { 'call-id': 'gone\nERROR' });
    for (let i = 0; i < 100; i += 1) refuse();
    relay.bench.nowMs += 1000;
    refuse();
    const line = 'media relay: query of call gone?ERROR refused: Unknown call-id';
    expect(relay.warnings).toEqual([line, `${line} (and 99 before)`]);
  });

  it('what is not known is refused as rtpengine refuses it', () => {
    const relay = new NgRelay();
    const reason = (text: string) => ({ result: 'error', 'error-reason': text });
    expect(relay.ask('start recording')).toEqual(reason('Unrecognized command'));
    expect(relay.commands.handle(new Map())).toEqual(
      reason('Dictionary contains no key "command"'),
    );
    expect(relay.commands.handle(undefined)).toEqual(reason('Could not decode dictionary'));
  });

  it('any command whatever is answered', () => {
    const relay = new NgRelay({ lastPort: 30_063 });
    const word = fc.constantFrom(
      'A',
      'B',
      'c1',
      'c2',
      sdpOf(ALICE, 4000),
      sdpOf(BOB, 2, FAX),
      '',
      'external',
    );
    const some = fc.oneof(word, fc.integer(), fc.array(word, { maxLength: 3 }), fc.string());
    const keys = ['call-id', 'from-tag', 'to-tag', 'sdp', 'flags', 'direction', 'replace', 'limit'];
    const more = ['rtcp-mux', 'media-address', 'transport-protocol', 'received-from'];
    const command = fc.constantFrom('offer', 'answer', 'delete', 'query', 'list', 'ping', 'x');
    fc.assert(
      fc.property(
        command,
        fc.dictionary(fc.constantFrom(...keys, ...more), some, { noNullPrototype: true }),
        (name, dictionary) => {
          relay.bench.nowMs += 100;
          const answer = relay.ask(name, dictionary as Record<string, Encodable>);
          expect(['ok', 'pong', 'error']).toContain(answer.result);
          expect(decode(Buffer.from(encode(answer), 'latin1'))).toBeInstanceOf(Map);
        },
      ),
      { numRuns: 5000 },
    );
    expect(relay.bench.calls.size).toBeLessThanOrEqual(16);
    const value: Bencoded = [];
    expect(relay.commands.handle(value)).toMatchObject({ result: 'error' });
  });
});
