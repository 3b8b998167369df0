import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRelayable, type MediaPlace, parseSdp, type Rewriting, rewriteSdp } from './sdp.ts';

const lines = (...all: string[]) => `${all.join('\r\n')}\r\n`;

/** As sipp's callers and many desk phones write it: the address at the session's level only. */
const PHONE = lines(
  'v=0',
  'o=user1 53655765 2353687637 IN IP4 192.0.2.5',
  's=-',
  'c=IN IP4 192.0.2.5',
  't=0 0',
  'm=audio 6000 RTP/AVP 8 101',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-11,16',
);
/** A soft phone with video, RTCP elsewhere, and candidates of ICE. */
const SOFTPHONE = lines(
  'v=0',
  'o=alice 1357 2468 IN IP4 10.0.0.7',
  's=Talk',
  'c=IN IP4 10.0.0.7',
  'b=AS:380',
  't=0 0',
  'a=ice-pwd:4b1bcd3d7f8f6f3fd8d0d0a4',
  'a=ice-ufrag:7e1d9a7c',
  'a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics',
  'm=audio 7078 RTP/AVP 96 0 8 101',
  'c=IN IP4 203.0.113.7',
  'a=rtpmap:96 opus/48000/2',
  'a=fmtp:96 useinbandfec=1',
  'a=rtpmap:101 telephone-event/48000',
  'a=rtcp:51001 IN IP4 203.0.113.8',
  'a=candidate:1 1 UDP 2130706303 10.0.0.7 7078 typ host',
  'a=candidate:2 1 UDP 1694498687 203.0.113.7 51000 typ srflx raddr 10.0.0.7 rport 7078',
  'm=video 9078 RTP/AVP 97',
  'a=rtpmap:97 H264/90000',
  'a=rtcp-mux',
  'a=sendonly',
);
/** Sound turned into fax by a gateway. */
const FAX = lines(
  'v=0',
  'o=- 12345 12347 IN IP4 198.51.100.4',
  's=fax',
  'c=IN IP4 198.51.100.4',
  't=0 0',
  'm=audio 0 RTP/AVP 8',
  'm=image 4410 udptl t38',
  'a=T38FaxVersion:0',
  'a=T38MaxBitRate:14400',
  'a=T38FaxRateManagement:transferredTCF',
  'a=T38FaxUdpEC:t38UDPRedundancy',
);

const PLACE: MediaPlace = { address: '10.1.0.1', port: 30_000, protocol: 'RTP/AVP' };
const second = { ...PLACE, port: 30_010 };

function rewritten(text: string, rewriting: Partial<Rewriting>): string {
  const sdp = parseSdp(text);
  if (sdp === undefined) throw new Error('not parsed');
  return rewriteSdp(sdp, {
    medias: sdp.medias.map(() => undefined),
    origin: false,
    sessionConnection: false,
    zeroAddress: false,
    ...rewriting,
  });
}

describe('a description', () => {
  it('of a desk phone', () => {
    expect(parseSdp(PHONE)?.medias).toEqual([
      {
        type: 'audio',
        port: 6000,
        protocol: 'RTP/AVP',
        connection: { family: 'IP4', address: '192.0.2.5' },
        hasConnection: false,
        rtcpPort: undefined,
        hasRtcpMux: false,
        clockRate: 8000,
        isTwoWay: true,
      },
    ]);
  });

  it('of a soft phone with video', () => {
    expect(parseSdp(SOFTPHONE)?.medias).toMatchObject([
      {
        connection: { address: '203.0.113.7' },
        rtcpPort: 51_001,
        clockRate: 48_000,
        isTwoWay: true,
      },
      { connection: { address: '10.0.0.7' }, hasRtcpMux: true, clockRate: 90_000, isTwoWay: false },
    ]);
  });

  it('of a fax', () => {
    const medias = parseSdp(FAX)?.medias ?? [];
    expect(medias).toMatchObject([{ port: 0 }, { type: 'image', protocol: 'udptl', port: 4410 }]);
    expect(medias.map(isRelayable)).toEqual([false, true]);
  });

  it.each([
    ['nothing', ''],
    ['a text', 'hello'],
    ['another version', PHONE.replace('v=0', 'v=1')],
    ['a line that is none', `${PHONE}nonsense\r\n`],
    ['a media without port', PHONE.replace('m=audio 6000', 'm=audio x')],
    ['a port too high', PHONE.replace('6000', '66000')],
    ['a media without address', PHONE.replace('c=IN IP4 192.0.2.5\r\n', '')],
    ['an address of no family', PHONE.replace('c=IN IP4', 'c=IN ATM')],
    ['many media', PHONE + 'm=audio 1 RTP/AVP 0\r\n'.repeat(40)],
    ['many lines', PHONE + 'a=x\r\n'.repeat(5000)],
  ])('is not: %s', (_, text) => {
    expect(parseSdp(text)).toBeUndefined();
  });
});

describe('rewriting', () => {
  it('puts the relay in the place of a desk phone', () => {
    expect(rewritten(PHONE, { medias: [PLACE], origin: true })).toBe(
      PHONE.replaceAll('192.0.2.5', '10.1.0.1').replace('m=audio 6000', 'm=audio 30000'),
    );
  });

  it('leaves the origin alone unless asked', () => {
    expect(rewritten(PHONE, { medias: [PLACE] })).toBe(
      PHONE.replace('c=IN IP4 192.0.2.5', 'c=IN IP4 10.1.0.1').replace('audio 6000', 'audio 30000'),
    );
  });

  it('changes addresses and ports of a soft phone, and takes away its candidates', () => {
    const text = rewritten(SOFTPHONE, { medias: [PLACE, second] });
    expect(text).toBe(
      SOFTPHONE.replace(/a=(candidate|ice).*\r\n/g, '')
        .replace('c=IN IP4 10.0.0.7', 'c=IN IP4 10.1.0.1')
        .replace('c=IN IP4 203.0.113.7', 'c=IN IP4 10.1.0.1')
        .replace('m=audio 7078', 'm=audio 30000')
        .replace('m=video 9078', 'm=video 30010')
        .replace('a=rtcp:51001 IN IP4 203.0.113.8', 'a=rtcp:30001 IN IP4 10.1.0.1'),
    );
  });

  it('leaves the session connection where every media has its own, unless asked', () => {
    const text = SOFTPHONE.replace('m=video 9078 RTP/AVP 97\r\n', '$&c=IN IP4 10.0.0.7\r\n');
    const medias = [PLACE, second];
    expect(rewritten(text, { medias })).toContain('c=IN IP4 10.0.0.7\r\nb=AS');
    expect(rewritten(text, { medias, sessionConnection: true })).toContain(
      'c=IN IP4 10.1.0.1\r\nb=AS',
    );
  });

  it('leaves a rejected media, and what it is not told to', () => {
    const place = { ...PLACE, protocol: 'udptl' };
    expect(rewritten(FAX, { medias: [undefined, place] })).toBe(
      FAX.replace('c=IN IP4 198.51.100.4', 'c=IN IP4 10.1.0.1').replace(
        'image 4410',
        'image 30000',
      ),
    );
    expect(rewritten(FAX, {})).toBe(FAX);
  });

  it('keeps 0.0.0.0, which says hold, unless asked', () => {
    const text = PHONE.replace('c=IN IP4 192.0.2.5', 'c=IN IP4 0.0.0.0');
    expect(parseSdp(text)?.medias[0].isTwoWay).toBe(false);
    expect(rewritten(text, { medias: [PLACE] })).toContain('c=IN IP4 0.0.0.0\r\n');
    expect(rewritten(text, { medias: [PLACE], zeroAddress: true })).toContain(
      'c=IN IP4 10.1.0.1\r\n',
    );
  });

  it('adds and takes away a shared port of RTCP', () => {
    const medias = [
      { ...PLACE, rtcpMux: true },
      { ...second, rtcpMux: false },
    ];
    const text = rewritten(SOFTPHONE, { medias });
    expect(text).toContain('m=audio 30000 RTP/AVP 96 0 8 101\r\na=rtcp-mux\r\n');
    expect(text.match(/a=rtcp-mux/g)).toHaveLength(1);
    const shared = PHONE + lines('a=rtcp:6000', 'a=rtcp-mux').trimEnd();
    expect(rewritten(shared, { medias: [PLACE] })).toContain('a=rtcp:30000\r\na=rtcp-mux');
    expect(rewritten(shared, { medias: [{ ...PLACE, rtcpMux: false }] })).toMatch(
      /a=rtcp:30001\r\n$/,
    );
  });

  it('writes another profile', () => {
    const medias = [{ ...PLACE, protocol: 'RTP/AVPF' }];
    expect(rewritten(PHONE, { medias })).toContain('m=audio 30000 RTP/AVPF 8 101\r\n');
  });

  it('leaves what no relay has to know: capabilities, keys, lines of vendors, and their order', () => {
    const text = lines(
      'v=0',
      'o=- 25678 753849 IN IP4 192.0.2.1',
      's=',
      'k=clear:abc',
      'c=IN IP4 192.0.2.1',
      't=0 0',
      'a=cat:x',
      'm=audio 53456 RTP/AVP 0 18',
      'a=tcap:1 RTP/SAVPF',
      'a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_32 inline:NzB4',
      'a=pcfg:1 t=1 a=1',
      'k=prompt',
      'a=X-cap: 1 audio RTP/AVP 100',
      'a=rtpmap:0 PCMU/8000',
      'a=sendrecv',
      'a=fmtp:18 annexb=no',
      'a=rtpmap:18 G729/8000',
    );
    expect(rewritten(text, { medias: [PLACE], origin: true })).toBe(
      text.replaceAll('192.0.2.1', '10.1.0.1').replace('m=audio 53456', 'm=audio 30000'),
    );
  });

  it('puts all addresses of a media right, and one port in the place of several', () => {
    const text = PHONE.replace('m=audio 6000', 'm=audio 6000/2').replace(
      'a=rtpmap:8',
      'c=IN IP4 224.2.1.1/127\r\nc=IN IP4 224.2.1.2/127\r\na=rtpmap:8',
    );
    const out = rewritten(text, { medias: [PLACE] });
    expect(out).toContain(
      'm=audio 30000 RTP/AVP 8 101\r\nc=IN IP4 10.1.0.1\r\nc=IN IP4 10.1.0.1\r\n',
    );
  });

  it('leaves everything else byte for byte, ends of lines included', () => {
    const letters = 'bikprstuz'.split('');
    const byte = fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code));
    const free = fc.tuple(fc.constantFrom(...letters), fc.string({ unit: byte })).map(([l, t]) => {
      return `${l}=${t}`;
    });
    const end = fc.constantFrom('\r\n', '\n', '\r');
    fc.assert(
      fc.property(fc.array(fc.tuple(free, end)), fc.array(fc.tuple(free, end)), (head, tail) => {
        const before = head.map((each) => each.join('')).join('');
        const after = tail.map((each) => each.join('')).join('');
        const text = `v=0\n${before}c=IN IP4 1.2.3.4\r\nm=audio 5 RTP/AVP 0\n${after}`;
        expect(rewritten(text, { medias: [PLACE] })).toBe(
          `v=0\n${before}c=IN IP4 10.1.0.1\r\nm=audio 30000 RTP/AVP 0\n${after}`,
        );
      }),
    );
  });

  it('reads any text or does not, and never fails', () => {
    const pieces = [PHONE, SOFTPHONE, FAX].flatMap((text) => text.split(/(?<=\r\n)/));
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 30 }),
        (all) => {
          const sdp = parseSdp(`v=0\r\n${all.join('')}`);
          if (sdp === undefined) return;
          rewriteSdp(sdp, {
            medias: sdp.medias.map(() => PLACE),
            origin: true,
            sessionConnection: true,
            zeroAddress: true,
          });
        },
      ),
      { numRuns: 3000 },
    );
  });
});
