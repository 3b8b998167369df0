import { describe, expect, it } from 'vitest';
import { ALICE, BOB, FAX, NgRelay, portIn, sdpOf } from '../../test/support/ng-relay.ts';
import { rtp } from '../../test/support/relay-bench.ts';
import * as table from '../tables/media-relay-table.ts';

describe('offer and answer', () => {
  it('open a call through which media goes both ways', () => {
    const relay = new NgRelay();
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
    const relay = new NgRelay();
    expect(relay.offer()).toBe(relay.offer());
    expect(relay.answer()).toBe(relay.answer());
    expect(relay.bench.calls.size).toBe(1);
  });

  it('use the interfaces that are asked for', () => {
    const relay = new NgRelay();
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
    expect(new NgRelay({ interfaces }).offer()).toContain('c=IN IP4 203.0.113.99');
    expect(new NgRelay().offer({ 'media-address': '203.0.113.98' })).toContain('IP4 203.0.113.98');
  });

  it('go the other way round when the called party asks', () => {
    const relay = new NgRelay();
    const [b, a] = [portIn(relay.offer()), portIn(relay.answer())];
    const names = { 'from-tag': 'B', 'to-tag': 'A' };
    const again = relay.offer({ ...names, sdp: sdpOf(BOB, 6010) });
    expect(portIn(again)).toBe(a);
    expect(portIn(relay.answer({ ...names, sdp: sdpOf(ALICE, 4000) }))).toBe(b);
    const sent = { from: `${ALICE}:4000`, to: `10.1.0.1:${a}`, payload: rtp() };
    expect(relay.bench.send(sent)).toMatchObject({ to: `${BOB}:6010` });
  });

  it('open a port for who was told it, and not before', () => {
    const relay = new NgRelay();
    const b = portIn(relay.offer());
    const [call] = relay.bench.calls.all();
    const a = relay.bench.legs.portOf(call.media[0].legs[0]);
    const toA = { from: '203.0.113.66:1', to: `10.1.0.1:${a}`, payload: rtp() };
    expect(relay.bench.send(toA)).toBeUndefined();
    // The called may speak before the answer is here (RFC 3264 §5.1), and is learned anew when it is.
    const early = { from: '203.0.113.66:1', to: `10.1.0.1:${b}`, payload: rtp() };
    expect(relay.bench.send(early)).toMatchObject({ to: `${ALICE}:4000` });
    relay.answer();
    expect(relay.bench.calls.report(call.media[0].legs[1]).rtpSource).toBeUndefined();
    expect(relay.bench.send({ ...toA, from: `${ALICE}:4000` })).toMatchObject({
      to: `${BOB}:6000`,
    });
  });

  it('guard the called as strictly as the offer asks, until they have answered', () => {
    const relay = new NgRelay();
    const b = portIn(relay.offer({ flags: ['trust-address', 'strict source'] }));
    const early = { from: '203.0.113.66:1', to: `10.1.0.1:${b}`, payload: rtp() };
    expect(relay.bench.send(early)).toBeUndefined();
    relay.answer();
    expect(relay.bench.send({ ...early, from: `${BOB}:6000` })).toBeDefined();
  });

  it('find a party behind a NAT by where its SIP messages come from', () => {
    const relay = new NgRelay();
    relay.offer({ sdp: sdpOf('192.168.1.9', 4000), 'received from': ['IP4', '203.0.113.5'] });
    const a = portIn(relay.answer());
    const from = (source: string) =>
      relay.bench.send({ from: source, to: `10.1.0.1:${a}`, payload: rtp() });
    expect(from('203.0.113.66:1')).toBeDefined();
    relay.bench.nowMs += 20_000;
    expect(from('203.0.113.5:50000')).toBeDefined();
    expect(from('203.0.113.66:1')).toBeUndefined();
    // In the midst of the call it comes to another network, and says so.
    const again = { sdp: sdpOf('192.168.1.9', 4000), 'received from': ['IP4', '198.51.100.9'] };
    relay.bench.nowMs += 20_000;
    expect(from('198.51.100.9:50000')).toBeUndefined();
    relay.offer(again);
    expect(from('198.51.100.9:50000')).toBeDefined();
    const moved = relay.bench.calls.report(relay.bench.calls.all()[0].media[0].legs[0]);
    expect(moved.rtpSource?.port).toBe(50_000);
  });

  it.each(['127.0.0.1', '0.1.2.3', '224.0.0.1', '255.255.255.255', 'phone.example'])(
    'send nothing to %s, which is nobody',
    (address) => {
      const relay = new NgRelay();
      relay.offer({ sdp: sdpOf(address, 4000) });
      const [call] = relay.bench.calls.all();
      relay.answer();
      const b = relay.bench.legs.portOf(call.media[0].legs[1]);
      const sent = { from: `${BOB}:6000`, to: `10.1.0.1:${b}`, payload: rtp() };
      expect(relay.bench.send(sent)).toBeUndefined();
    },
  );

  it('measure both by the clock of the codec that the answer has chosen', () => {
    const relay = new NgRelay();
    const opus = sdpOf(ALICE, 4000, ['a=rtpmap:96 opus/48000/2', 'a=rtpmap:8 PCMA/8000']);
    relay.offer({ sdp: opus.replace('RTP/AVP 8', 'RTP/AVP 96 8') });
    relay.answer({ sdp: sdpOf(BOB, 6000, ['a=rtpmap:8 PCMA/8000']) });
    const { legs, calls } = relay.bench;
    const rates = calls.all()[0].media[0].legs.map((leg) => legs.word(leg, table.LEG_CLOCK_RATE));
    expect(rates).toEqual([8000, 8000]);
  });

  it('turn sound into fax and add media', () => {
    const relay = new NgRelay();
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
    const relay = new NgRelay();
    relay.offer({ flags: ['SIP-source-address'] });
    const [call] = relay.bench.calls.all();
    const { legs } = relay.bench;
    const address = legs.word(call.media[0].legs[0], table.LEG_EXPECTED);
    expect(address >>> 0).toBe(0xcb00_7101);
  });

  it('learn of a shared port of RTCP, or keep it to one side', () => {
    const muxed = sdpOf(ALICE, 4000, ['a=rtcp-mux']);
    const both = new NgRelay();
    expect(both.offer({ sdp: muxed })).toContain('a=rtcp-mux');
    expect(both.answer({ sdp: sdpOf(BOB, 6000, ['a=rtcp-mux']) })).toContain('a=rtcp-mux');
    const flagsOf = (relay: NgRelay) => {
      const { legs, calls } = relay.bench;
      return calls.all()[0].media[0].legs.map((leg) => legs.word(leg, table.LEG_FLAGS));
    };
    expect(flagsOf(both)).toEqual([table.FLAG_RTCP_MUX, table.FLAG_RTCP_MUX]);

    const one = new NgRelay();
    expect(one.offer({ sdp: muxed, 'rtcp-mux': ['demux'] })).not.toContain('a=rtcp-mux');
    expect(one.answer()).toContain('a=rtcp-mux');
    expect(flagsOf(one)).toEqual([table.FLAG_RTCP_MUX, 0]);

    const none = new NgRelay();
    none.offer({ sdp: muxed });
    expect(none.answer()).not.toContain('a=rtcp-mux');
    expect(flagsOf(none)).toEqual([0, 0]);
  });

  it('let a profile differ on both sides, and nothing else', () => {
    const relay = new NgRelay();
    const avpf = sdpOf(ALICE, 4000).replace('RTP/AVP', 'RTP/AVPF');
    expect(relay.offer({ sdp: avpf })).toMatch(/m=audio \d+ RTP\/AVP 8/);
    expect(relay.answer()).toMatch(/m=audio \d+ RTP\/AVPF 8/);
    const secure = sdpOf(ALICE, 4000).replace('RTP/AVP', 'RTP/SAVP');
    expect(() => relay.offer({ sdp: secure })).toThrow(/RTP\/SAVP into RTP\/AVP is not supported/);
  });

  it('leave a description alone that has our own ports already', () => {
    const relay = new NgRelay();
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
    const relay = new NgRelay();
    const before = Buffer.from(relay.bench.words.slice().buffer);
    expect(() => relay.offer(keys)).toThrow(reason);
    expect(relay.bench.calls.size).toBe(0);
    const { buffer, byteOffset, byteLength } = relay.bench.words;
    expect(before.equals(Buffer.from(buffer, byteOffset, byteLength))).toBe(true);
  });

  it('are refused when there are no ports, and leave the call as it was', () => {
    const relay = new NgRelay({ firstPort: 30_000, lastPort: 30_007 });
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
    expect(() => new NgRelay().answer()).toThrow('Unknown call-id');
  });
});
