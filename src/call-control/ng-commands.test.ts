import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RELAY_SETTINGS, RelayBench, rtp } from '../../test/support/relay-bench.ts';
import * as table from '../tables/media-relay-table.ts';
import { type Bencoded, decode, type Encodable, encode } from './bencode.ts';
import { NgCommands } from './ng-commands.ts';
import type { RelaySettings } from './settings.ts';

const SILENT = { info: () => {}, warning: () => {} };
/** What Kamailio sends for "trust-address replace-origin replace-session-connection ICE=remove RTP/AVP". */
const KAMAILIO = {
  flags: ['trust-address'],
  replace: ['origin', 'session-connection'],
  ICE: 'remove',
  'transport-protocol': 'RTP/AVP',
  'received from': ['IP4', '203.0.113.1'],
};

function sdpOf(address: string, port: number, more: readonly string[] = []): string {
  const all = [
    'v=0',
    `o=u 1 1 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 8`,
    ...more,
  ];
  return `${all.join('\r\n')}\r\n`;
}

const FAX = ['m=image 5004 udptl t38', 'a=T38FaxVersion:0'];
const ALICE = '192.0.2.10';
const BOB = '198.51.100.20';

class Relay {
  readonly bench: RelayBench;
  readonly commands: NgCommands;

  constructor(settings: Partial<RelaySettings> = {}) {
    this.bench = new RelayBench(settings);
    const now = () => ({ nowMs: this.bench.nowMs, wallMs: 1_700_000_000_000 });
    const all = { ...RELAY_SETTINGS, ...settings };
    this.commands = new NgCommands(this.bench.calls, all, SILENT, now);
  }

  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever the protocol says.
  ask(command: string, keys: Record<string, Encodable> = {}): any {
    const bytes = Buffer.from(encode({ command, ...keys }), 'latin1');
    return this.commands.handle(decode(bytes));
  }

  offer(keys: Record<string, Encodable> = {}): string {
    const defaults = { 'call-id': 'c1', 'from-tag': 'A', sdp: sdpOf(ALICE, 4000), ...KAMAILIO };
    const answer = this.ask('offer', { ...defaults, ...keys });
    if (answer.result !== 'ok') throw new Error(answer['error-reason']);
    return answer.sdp;
  }

  answer(keys: Record<string, Encodable> = {}): string {
    const names = { 'call-id': 'c1', 'from-tag': 'A', 'to-tag': 'B' };
    const answer = this.ask('answer', { ...names, sdp: sdpOf(BOB, 6000), ...KAMAILIO, ...keys });
    if (answer.result !== 'ok') throw new Error(answer['error-reason']);
    return answer.sdp;
  }
}

function portIn(sdp: string, type = 'audio'): number {
  return Number(new RegExp(`m=${type} (\\d+)`).exec(sdp)?.[1]);
}

describe('offer and answer', () => {
  it('open a call through which media goes both ways', () => {
    const relay = new Relay();
    const toBob = relay.offer();
    const toAlice = relay.answer();
    const [b, a] = [portIn(toBob), portIn(toAlice)];
    expect(toBob).toBe(sdpOf('10.1.0.1', b));
    expect(toAlice).toBe(sdpOf('10.1.0.1', a));
    expect(a).not.toBe(b);
    expect([a % 2, b % 2]).toEqual([0, 0]);
    const sent = { from: `${ALICE}:4000`, to: `10.1.0.1:${a}`, payload: rtp() };
    expect(relay.bench.send(sent)).toMatchObject({ from: `10.1.0.1:${b}`, to: `${BOB}:6000` });
    const back = { from: `${BOB}:6000`, to: `10.1.0.1:${b}`, payload: rtp() };
    expect(relay.bench.send(back)).toMatchObject({ from: `10.1.0.1:${a}`, to: `${ALICE}:4000` });
  });

  it('can be repeated without anything changing', () => {
    const relay = new Relay();
    expect(relay.offer()).toBe(relay.offer());
    expect(relay.answer()).toBe(relay.answer());
    expect(relay.bench.calls.size).toBe(1);
  });

  it('use the interfaces that are asked for', () => {
    const relay = new Relay();
    const toBob = relay.offer({ direction: ['external', 'internal'] });
    expect(toBob).toContain('c=IN IP4 10.2.0.1');
    expect(relay.answer()).toContain('c=IN IP4 10.1.0.1');
    expect(
      relay.ask('offer', { 'call-id': 'x', 'from-tag': 'A', sdp: toBob, direction: ['moon'] }),
    ).toEqual({
      result: 'error',
      'error-reason': 'Unknown interface moon',
    });
  });

  it('tell an address that stands for ours outside', () => {
    const interfaces = [{ name: 'external', address: '10.1.0.1', advertise: '203.0.113.99' }];
    expect(new Relay({ interfaces }).offer()).toContain('c=IN IP4 203.0.113.99');
    expect(new Relay().offer({ 'media-address': '203.0.113.98' })).toContain('IP4 203.0.113.98');
  });

  it('go the other way round when the called party asks', () => {
    const relay = new Relay();
    const [b, a] = [portIn(relay.offer()), portIn(relay.answer())];
    const names = { 'from-tag': 'B', 'to-tag': 'A' };
    const again = relay.offer({ ...names, sdp: sdpOf(BOB, 6010) });
    expect(portIn(again)).toBe(a);
    expect(portIn(relay.answer({ ...names, sdp: sdpOf(ALICE, 4000) }))).toBe(b);
    const sent = { from: `${ALICE}:4000`, to: `10.1.0.1:${a}`, payload: rtp() };
    expect(relay.bench.send(sent)).toMatchObject({ to: `${BOB}:6010` });
  });

  it('turn sound into fax and add media', () => {
    const relay = new Relay();
    relay.offer();
    relay.answer();
    const sdp = sdpOf(ALICE, 0, FAX);
    const toBob = relay.offer({ sdp });
    expect(toBob).toContain('m=audio 0 RTP/AVP 8\r\n');
    const toAlice = relay.answer({ sdp: sdpOf(BOB, 0, FAX) });
    const payload = Buffer.from('000106c0018000ff', 'hex');
    const to = `10.1.0.1:${portIn(toAlice, 'image')}`;
    expect(relay.bench.send({ from: `${ALICE}:5004`, to, payload })).toMatchObject({
      from: `10.1.0.1:${portIn(toBob, 'image')}`,
      to: `${BOB}:5004`,
    });
  });

  it('take the address of the SIP message where the description is not to be trusted', () => {
    const relay = new Relay();
    relay.offer({ flags: ['SIP-source-address'] });
    const [call] = relay.bench.calls.all();
    const { legs } = relay.bench;
    const address = legs.word(call.media[0].legs[0], table.LEG_EXPECTED);
    expect(address >>> 0).toBe(0xcb00_7101);
  });

  it('learn of a shared port of RTCP, or keep it to one side', () => {
    const muxed = sdpOf(ALICE, 4000, ['a=rtcp-mux']);
    const both = new Relay();
    expect(both.offer({ sdp: muxed })).toContain('a=rtcp-mux');
    expect(both.answer({ sdp: sdpOf(BOB, 6000, ['a=rtcp-mux']) })).toContain('a=rtcp-mux');
    const flagsOf = (relay: Relay) => {
      const { legs, calls } = relay.bench;
      return calls.all()[0].media[0].legs.map((leg) => legs.word(leg, table.LEG_FLAGS));
    };
    expect(flagsOf(both)).toEqual([table.FLAG_RTCP_MUX, table.FLAG_RTCP_MUX]);

    const one = new Relay();
    expect(one.offer({ sdp: muxed, 'rtcp-mux': ['demux'] })).not.toContain('a=rtcp-mux');
    expect(one.answer()).toContain('a=rtcp-mux');
    expect(flagsOf(one)).toEqual([table.FLAG_RTCP_MUX, 0]);

    const none = new Relay();
    none.offer({ sdp: muxed });
    expect(none.answer()).not.toContain('a=rtcp-mux');
    expect(flagsOf(none)).toEqual([0, 0]);
  });

  it('let a profile differ on both sides, and nothing else', () => {
    const relay = new Relay();
    const avpf = sdpOf(ALICE, 4000).replace('RTP/AVP', 'RTP/AVPF');
    expect(relay.offer({ sdp: avpf })).toMatch(/m=audio \d+ RTP\/AVP 8/);
    expect(relay.answer()).toMatch(/m=audio \d+ RTP\/AVPF 8/);
    const secure = sdpOf(ALICE, 4000).replace('RTP/AVP', 'RTP/SAVP');
    expect(() => relay.offer({ sdp: secure })).toThrow(/RTP\/SAVP into RTP\/AVP is not supported/);
  });

  it('leave a description alone that has our own ports already', () => {
    const relay = new Relay();
    const once = relay.offer();
    expect(relay.offer({ sdp: once })).toBe(once);
    const [call] = relay.bench.calls.all();
    const expected = relay.bench.legs.word(call.media[0].legs[0], table.LEG_EXPECTED + 1);
    expect(expected).toBe(4000);
  });

  it.each([
    ['without description', { sdp: '' }, 'Failed to parse SDP'],
    ['of no description', { sdp: 'xyz' }, 'Failed to parse SDP'],
    ['without media', { sdp: 'v=0\r\n' }, 'No media in SDP'],
    ['without Call-ID', { 'call-id': '' }, 'No call-id in message'],
    ['with an endless Call-ID', { 'call-id': 'x'.repeat(2000) }, 'call-id is too long'],
    ['with an address that is none', { 'media-address': '1.2.3.4\r\n' }, 'media-address is no'],
    ['with ICE', { ICE: 'force' }, 'ICE other than remove is not supported by this relay'],
    ['with other codecs', { codec: { transcode: ['PCMU'] } }, 'changing codecs is not'],
    ['to IPv6', { 'address family': 'IP6' }, 'IPv6 is not'],
    ['of IPv6', { sdp: sdpOf('::1', 4).replaceAll('IP4', 'IP6') }, 'IPv6 is not'],
    ['from fax to sound', { 'T.38': ['decode'] }, 'translating between sound and T.38 is not'],
    ['that insists on RTCP', { 'rtcp-mux': ['require'] }, 'rtcp-mux-require is not'],
  ])('are refused %s, and leave nothing behind', (_, keys, reason) => {
    const relay = new Relay();
    const before = Buffer.from(relay.bench.words.slice().buffer);
    expect(() => relay.offer(keys)).toThrow(reason);
    expect(relay.bench.calls.size).toBe(0);
    const { buffer, byteOffset, byteLength } = relay.bench.words;
    expect(before.equals(Buffer.from(buffer, byteOffset, byteLength))).toBe(true);
  });

  it('are refused when there are no ports, and leave the call as it was', () => {
    const relay = new Relay({ firstPort: 30_000, lastPort: 30_007 });
    relay.offer();
    relay.answer();
    expect(() => relay.offer({ sdp: sdpOf(ALICE, 4000, [...FAX, ...FAX]) })).toThrow(
      /Ran out of ports/,
    );
    expect(relay.bench.calls.all()[0].media).toHaveLength(1);
    expect(() => relay.offer({ 'call-id': 'c2', sdp: sdpOf(ALICE, 4000, FAX) })).toThrow(/Ran out/);
    expect(relay.bench.calls.size).toBe(1);
    relay.bench.nowMs += 5000;
    expect(() => relay.offer({ 'call-id': 'c2' })).not.toThrow();
  });

  it('are refused for a call that is not there', () => {
    expect(() => new Relay().answer()).toThrow('Unknown call-id');
  });
});

describe('other commands', () => {
  it('ping', () => {
    expect(new Relay().ask('ping')).toEqual({ result: 'pong' });
  });

  it('delete gives the call away with its figures, once', () => {
    const relay = new Relay();
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
    const relay = new Relay();
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
    const relay = new Relay();
    for (let i = 0; i < 40; i += 1) relay.offer({ 'call-id': `c${i}` });
    expect(relay.ask('list').calls).toHaveLength(32);
    expect(relay.ask('list', { limit: 2 }).calls).toEqual(['c0', 'c1']);
    expect(relay.ask('list', { limit: '100' }).calls).toHaveLength(40);
  });

  it('what is not known is refused as rtpengine refuses it', () => {
    const relay = new Relay();
    const reason = (text: string) => ({ result: 'error', 'error-reason': text });
    expect(relay.ask('start recording')).toEqual(reason('Unrecognized command'));
    expect(relay.commands.handle(new Map())).toEqual(
      reason('Dictionary contains no key "command"'),
    );
    expect(relay.commands.handle(undefined)).toEqual(reason('Could not decode dictionary'));
  });

  it('any command whatever is answered', () => {
    const relay = new Relay({ lastPort: 30_063 });
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
