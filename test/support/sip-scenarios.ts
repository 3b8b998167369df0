// What the lab's callers and called do, in sipp's language, and what they send: sound is sipp's own recording of
// G.711; a fax begins as a call with sound, which a second offer turns into T.38.

import { readFileSync } from 'node:fs';

export type RelayName = 'weir' | 'rtpengine';
export type Media = 'sound' | 'fax';

/** 7.05 s of G.711 in packets of 30 ms, from Debian's sip-tester, of which 3.6 s are played. */
const SOUND = '/usr/share/sip-tester/g711a.pcap';
export const SOUND_PACKETS = 120;
export const FAX_PACKETS = 150;
const FAX_STEP_MS = 20;
const PCAP_HEADER = 24;
const PCAP_RECORD = 16;

/** The lines of a description; sipp fills in addresses and ports. */
function description(media: readonly string[]): string {
  return `
    v=0
    o=user1 53655765 2353687637 IN IP[local_ip_type] [local_ip]
    s=-
    c=IN IP[media_ip_type] [media_ip]
    t=0 0${media.map((line) => `\n    ${line}`).join('')}`;
}

function sound(port: string): string {
  return description([`m=audio ${port} RTP/AVP 8`, 'a=rtpmap:8 PCMA/8000']);
}

function fax(port: string): string {
  return description([`m=image ${port} udptl t38`, 'a=T38FaxVersion:0', 'a=T38MaxBitRate:14400']);
}

function callersRequest(relay: RelayName, method: string, sequence: string, body: string): string {
  const isFirst = sequence === '1 INVITE';
  return `
  <send ${method === 'ACK' ? '' : 'retrans="500"'}><![CDATA[
    ${method} ${isFirst ? 'sip:fax@[remote_ip]:[remote_port]' : '[next_url]'} SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: caller <sip:caller@[local_ip]:[local_port]>;tag=[pid]c[call_number]
    To: called <sip:called@[remote_ip]:[remote_port]>${isFirst ? '' : '[peer_tag_param]'}
    Call-ID: [call_id]
    CSeq: ${sequence}
    Contact: sip:caller@[local_ip]:[local_port]
    Max-Forwards: 70
    X-Relay: ${relay}
    ${isFirst ? '' : '[routes]'}
    ${body === '' ? '' : 'Content-Type: application/sdp'}
    Content-Length: [len]
${body}
  ]]></send>`.replace(/^ +\n/gm, '');
}

/**
 * A caller: offers sound, sends it or turns to fax first, and hangs up after a while.
 * @param file a pcap file with the sound, or with the fax
 */
export function callerScenario(
  relay: RelayName,
  media: Media,
  file: string,
  holdMs: number,
): string {
  const request = (method: string, sequence: string, body = '') =>
    callersRequest(relay, method, sequence, body);
  const answers = `
  <recv response="100" optional="true"/>
  <recv response="200" rrs="true" crlf="true"/>`;
  const play = (what: string) => `
  <nop><action><exec ${what}/></action></nop>
  <pause milliseconds="${holdMs}"/>`;
  const second = `
  <pause milliseconds="300"/>${request('INVITE', '2 INVITE', fax('[auto_media_port]'))}
  <recv response="100" optional="true"/>
  <recv response="200" crlf="true"/>${request('ACK', '2 ACK')}${play(`play_pcap_image="${file}"`)}`;
  return `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">${request('INVITE', '1 INVITE', sound('[auto_media_port]'))}${answers}
${request('ACK', '1 ACK')}${media === 'fax' ? second : play(`play_pcap_audio="${file}"`)}
${request('BYE', '3 BYE')}
  <recv response="200" crlf="true"/>
</scenario>
`;
}

function calledAnswer(status: string, body: string, attributes = ''): string {
  return `
  <send ${attributes}><![CDATA[
    SIP/2.0 ${status}
    [last_Via:]
    [last_From:]
    [last_To:];tag=[pid]d[call_number]
    [last_Call-ID:]
    [last_CSeq:]
    [last_Record-Route:]
    Contact: <sip:[local_ip]:[local_port]>
    ${body === '' ? '' : 'Content-Type: application/sdp'}
    Content-Length: [len]
${body}
  ]]></send>`.replace(/^ +\n/gm, '');
}

/**
 * The called: takes every call with the sound that is offered, and the fax after it. It does not ring first: a busy
 * Kamailio, which has several processes, can let a 200 overtake the 180, which sipp takes for an error.
 */
export const CALLED = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="called">
  <recv request="INVITE" crlf="true"/>
${calledAnswer('200 OK', sound('[media_port]'), 'retrans="500"')}
  <recv request="ACK" crlf="true"/>
  <recv request="BYE" optional="true" next="bye"/>
  <recv request="INVITE" crlf="true"/>
${calledAnswer('200 OK', fax('[media_port]'), 'retrans="500"').replace(';tag=[pid]d[call_number]', '')}
  <recv request="ACK" crlf="true"/>
  <recv request="BYE"/>
  <label id="bye"/>${calledAnswer('200 OK', '').replace(';tag=[pid]d[call_number]', '')}
</scenario>
`;

/** The beginning of the recorded sound, as a pcap file. */
export function soundPackets(): Buffer {
  const all = readFileSync(SOUND);
  let end = PCAP_HEADER;
  for (let i = 0; i < SOUND_PACKETS; i += 1) end += PCAP_RECORD + all.readUInt32LE(end + 8);
  return all.subarray(0, end);
}

/** A pcap file with a fax as UDPTL (ITU-T T.38 §9.1): no-signal indications with redundancy. */
export function faxPackets(): Buffer {
  const header = Buffer.alloc(PCAP_HEADER);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const packets = Array.from({ length: FAX_PACKETS }, (_, sequence) => {
    const data = Buffer.from('00000106000106', 'hex');
    const frame = Buffer.concat([Buffer.alloc(42), data, Buffer.alloc(60)]);
    frame.writeUInt16BE(0x0800, 12);
    frame[14] = 0x45;
    frame.writeUInt16BE(frame.length - 14, 16);
    frame[22] = 64;
    frame[23] = 17;
    frame.writeUInt16BE(frame.length - 34, 38);
    frame.writeUInt16BE(sequence, 42);
    const record = Buffer.alloc(PCAP_RECORD);
    record.writeUInt32LE(Math.floor((sequence * FAX_STEP_MS) / 1000), 0);
    record.writeUInt32LE(((sequence * FAX_STEP_MS) % 1000) * 1000, 4);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return Buffer.concat([record, frame]);
  });
  return Buffer.concat([header, ...packets]);
}
