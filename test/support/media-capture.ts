// What a relay has done to the media of many calls, from two captures, one on each side of it: which packets
// came through, how long each took, and by how much the jitter grew (RFC 3550, A.8, in microseconds, as the
// captures' clock is finer than the relay's). Which ports belong together, SIP's own packets in the captures
// say. Both captures have the same clock, as they are of one machine.

import { readFileSync } from 'node:fs';

interface Datagram {
  /** Seconds. */
  readonly at: number;
  readonly source: string;
  readonly destination: string;
  readonly payload: Buffer;
}

export interface RelayFigures {
  readonly streams: number;
  /** Packets that reached the relay, both ways, and of these the callers'. */
  readonly sent: number;
  readonly sentByCallers: number;
  readonly lost: number;
  /** Packets that left the relay and had not been sent to it, or twice. */
  readonly strange: number;
  /** Through the relay and the links beside it. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  /** Mean over the streams of the jitter before the relay, behind it, and of the difference. */
  readonly jitterBeforeMs: number;
  readonly jitterBehindMs: number;
  readonly jitterAddedMs: number;
}

const SIP_PORT = 5060;
const SPEEDS: Readonly<Record<number, number>> = { 2712847316: 1e6, 2712812621: 1e9 };
const ETHERNET = 14;
/** Before a caller hangs up: on a busy machine packets can be under way for so long. */
const END_SECONDS = 0.2;

/** Datagrams of a pcap file of Ethernet frames with plain IPv4. */
export function readDatagrams(file: string): Datagram[] {
  const bytes = readFileSync(file);
  const perSecond = SPEEDS[bytes.readUInt32LE(0)];
  const found: Datagram[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const seconds = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) / perSecond;
    const length = bytes.readUInt32LE(at + 8);
    const frame = bytes.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    if (frame.length < 42 || frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 17) continue;
    const transport = ETHERNET + (frame[14] & 15) * 4;
    const endpoint = (address: number, port: number) =>
      `${frame.subarray(address, address + 4).join('.')}:${frame.readUInt16BE(port)}`;
    found.push({
      at: seconds,
      source: endpoint(26, transport),
      destination: endpoint(30, transport + 2),
      payload: frame.subarray(transport + 8, transport + frame.readUInt16BE(transport + 4)),
    });
  }
  return found;
}

/** Per Call-ID the place of the media in the description that a host got, or sent. */
function mediaPlaces(
  datagrams: readonly Datagram[],
  isWanted: (firstLine: string) => boolean,
): Map<string, string> {
  const places = new Map<string, string>();
  for (const { source, destination, payload } of datagrams) {
    if (!source.endsWith(`:${SIP_PORT}`) && !destination.endsWith(`:${SIP_PORT}`)) continue;
    const text = payload.toString('latin1');
    if (!isWanted(text.slice(0, text.indexOf('\r\n')))) continue;
    const callId = /^Call-ID: *(\S+)/im.exec(text)?.[1];
    const address = /^c=IN IP4 (\S+)/m.exec(text)?.[1];
    const port = /^m=(?:audio|image) (\d+)/m.exec(text)?.[1];
    if (callId !== undefined && port !== undefined) places.set(callId, `${address}:${port}`);
  }
  return places;
}

/** When each caller has hung up, by Call-ID. */
function hangUps(datagrams: readonly Datagram[]): Map<string, number> {
  const ends = new Map<string, number>();
  for (const { at, payload } of datagrams) {
    if (payload.toString('latin1', 0, 4) !== 'BYE ') continue;
    const callId = /^Call-ID: *(\S+)/im.exec(payload.toString('latin1'))?.[1];
    if (callId !== undefined && !ends.has(callId)) ends.set(callId, at);
  }
  return ends;
}

function byKey(datagrams: readonly Datagram[], key: (each: Datagram) => string) {
  const groups = new Map<string, Datagram[]>();
  for (const each of datagrams) {
    const of = groups.get(key(each));
    if (of === undefined) groups.set(key(each), [each]);
    else of.push(each);
  }
  return groups;
}

/** Interarrival jitter of one stream, the mean over its packets, in seconds. */
function jitterOf(packets: readonly Datagram[]): number {
  let jitter = 0;
  let sum = 0;
  for (let i = 1; i < packets.length; i += 1) {
    const sent = (packets[i].payload.readInt32BE(4) - packets[i - 1].payload.readInt32BE(4)) | 0;
    const difference = Math.abs(packets[i].at - packets[i - 1].at - sent / 8000);
    jitter += (difference - jitter) / 16;
    sum += jitter;
  }
  return packets.length > 1 ? sum / (packets.length - 1) : 0;
}

class Measurement {
  private readonly delays: number[] = [];
  private readonly before: number[] = [];
  private readonly behind: number[] = [];
  private sent = 0;
  private sentByCallers = 0;
  private lost = 0;
  private strange = 0;

  /** One stream on its way to the relay, and from it. */
  add(
    into: readonly Datagram[],
    out: readonly Datagram[],
    isCallers: boolean,
    endsAt: number,
  ): void {
    this.sent += into.length;
    if (isCallers) this.sentByCallers += into.length;
    const waiting = byKey(out, ({ payload }) => payload.toString('latin1', 0, 12));
    for (const { at, payload } of into) {
      const arrived = waiting.get(payload.toString('latin1', 0, 12))?.shift();
      if (arrived !== undefined) this.delays.push(arrived.at - at);
      else if (at < endsAt) this.lost += 1;
    }
    for (const left of waiting.values()) this.strange += left.length;
    this.before.push(jitterOf(into));
    this.behind.push(jitterOf(out));
  }

  figures(): RelayFigures {
    const sorted = this.delays.sort((a, b) => a - b);
    const part = (share: number) => sorted[Math.min(sorted.length - 1, sorted.length * share) | 0];
    const mean = (all: readonly number[]) => all.reduce((sum, each) => sum + each, 0) / all.length;
    const ms = (seconds: number) => Math.round(seconds * 1e6) / 1000;
    return {
      streams: this.before.length,
      sent: this.sent,
      sentByCallers: this.sentByCallers,
      lost: this.lost,
      strange: this.strange,
      medianMs: ms(part(0.5)),
      p99Ms: ms(part(0.99)),
      mostMs: ms(part(1)),
      jitterBeforeMs: ms(mean(this.before)),
      jitterBehindMs: ms(mean(this.behind)),
      jitterAddedMs: ms(mean(this.behind) - mean(this.before)),
    };
  }
}

/**
 * Figures of all calls that both captures have seen begin.
 * @param callerFile captured at the callers', SIP and media
 * @param calledFile likewise at the called
 */
export function measureRelay(callerFile: string, calledFile: string): RelayFigures {
  const caller = readDatagrams(callerFile);
  const called = readDatagrams(calledFile);
  const isInvite = (line: string) => line.startsWith('INVITE ');
  const isOk = (line: string) => line.startsWith('SIP/2.0 200');
  /** Where callers want it; where they are told to send it; and the same of the called. */
  const callers = mediaPlaces(caller, isInvite);
  const towardsCaller = mediaPlaces(caller, isOk);
  const towardsCalled = mediaPlaces(called, isInvite);
  const calledAt = mediaPlaces(called, isOk);
  const ends = hangUps(caller);
  const path = ({ source, destination }: Datagram) => `${source} ${destination}`;
  const atCaller = byKey(caller, path);
  const atCalled = byKey(called, path);
  const measurement = new Measurement();
  for (const [callId, ours] of callers) {
    const [relayA, relayB] = [towardsCaller.get(callId), towardsCalled.get(callId)];
    const theirs = calledAt.get(callId);
    // What is under way when the call ends belongs to nobody any more.
    const endsAt = (ends.get(callId) ?? Number.POSITIVE_INFINITY) - END_SECONDS;
    measurement.add(
      atCaller.get(`${ours} ${relayA}`) ?? [],
      atCalled.get(`${relayB} ${theirs}`) ?? [],
      true,
      endsAt,
    );
    measurement.add(
      atCalled.get(`${theirs} ${relayB}`) ?? [],
      atCaller.get(`${relayA} ${ours}`) ?? [],
      false,
      endsAt,
    );
  }
  return measurement.figures();
}
