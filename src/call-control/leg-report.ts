// What the switching processors have seen of one party's media, put together from the lines of all of them
// (tables/media-relay-table.ts): for answers to `query`, for the end of a call, and to see whether there is
// any media at all. Read while the writers go on: a count may be a packet behind.

import * as table from '../tables/media-relay-table.ts';

/** Sequence numbers of RTP. */
const CYCLE = 65_536;

export interface Endpoint {
  /** As int32; 0: not known. */
  readonly address: number;
  readonly port: number;
}

export interface LegReport {
  readonly rtpPackets: number;
  readonly rtpBytes: number;
  readonly rtcpPackets: number;
  readonly rtcpBytes: number;
  /** Monotonic milliseconds of the last packet; undefined: none has come. */
  readonly lastAtMs: number | undefined;
  readonly ssrc: number;
  /** Packets that were sent and have not come, by sequence numbers (RFC 3550 A.3); never negative. */
  readonly lost: number;
  /** Interarrival jitter (RFC 3550 A.8) as it is now, and the most that it was. */
  readonly jitterMs: number;
  readonly mostJitterMs: number;
  readonly ssrcChanges: number;
  readonly strangers: number;
  readonly noMedia: number;
  /** Where the party was learned to be. */
  readonly rtpSource: Endpoint | undefined;
  readonly rtcpSource: Endpoint | undefined;
}

/** @param leg index of the leg's first word */
export function reportLeg(
  relayTable: table.MediaRelayTable,
  leg: number,
  processors: number,
): LegReport {
  const { words, doubles } = relayTable;
  const lines = Array.from({ length: processors }, (_, p) => relayTable.line(leg, p));
  const sum = (word: number) => lines.reduce((total, line) => total + words[line + word], 0);
  const sumDoubles = (at: number) => {
    return lines.reduce((total, line) => total + doubles[(line >> 1) + at], 0);
  };
  const heard = lines.filter((line) => isHeard(doubles, line));
  const last = latest(words, heard);
  const perMs = words[leg + table.LEG_CLOCK_RATE] / 1000;
  const inMs = (word: number) => {
    return last === undefined || perMs <= 0 ? 0 : words[last + word] / 16 / perMs;
  };
  return {
    rtpPackets: sumDoubles(table.LINE_RTP_PACKETS),
    rtpBytes: sumDoubles(table.LINE_RTP_BYTES),
    rtcpPackets: sumDoubles(table.LINE_RTCP_PACKETS),
    rtcpBytes: sumDoubles(table.LINE_RTCP_BYTES),
    lastAtMs: last === undefined ? undefined : words[last + table.LINE_LAST_AT],
    ssrc: last === undefined ? 0 : words[last + table.LINE_SOURCE],
    lost: lostOf(words, heard, last),
    jitterMs: inMs(table.LINE_JITTER),
    mostJitterMs: inMs(table.LINE_MOST_JITTER),
    ssrcChanges: sum(table.LINE_SOURCE_CHANGES),
    strangers: sum(table.LINE_STRANGERS),
    noMedia: sum(table.LINE_NO_MEDIA),
    rtpSource: learned(relayTable, leg, table.CHANNEL_RTP),
    rtcpSource: learned(relayTable, leg, table.CHANNEL_RTCP),
  };
}

function isHeard(doubles: Float64Array, line: number): boolean {
  const at = line >> 1;
  return doubles[at + table.LINE_RTP_PACKETS] + doubles[at + table.LINE_RTCP_PACKETS] > 0;
}

/** The line that has heard the party last. */
function latest(words: Int32Array, lines: readonly number[]): number | undefined {
  return lines.reduce<number | undefined>((last, line) => {
    if (last === undefined) return line;
    const later = (words[line + table.LINE_LAST_AT] - words[last + table.LINE_LAST_AT]) | 0;
    return later > 0 ? line : last;
  }, undefined);
}

/** A stream that came by several processors is one stream: each has seen a part of its numbers. */
function lostOf(words: Int32Array, heard: readonly number[], last: number | undefined): number {
  const before = heard.reduce((total, line) => total + words[line + table.LINE_LOST_BEFORE], 0);
  if (last === undefined) return 0;
  const same = heard.filter((line) => {
    const isSame = words[line + table.LINE_SOURCE] === words[last + table.LINE_SOURCE];
    return isSame && words[line + table.LINE_STARTED] !== 0;
  });
  const parts = same.map((line): Part => {
    return {
      lowest: words[line + table.LINE_LOWEST],
      highest: words[line + table.LINE_HIGHEST],
      received: words[line + table.LINE_RECEIVED],
    };
  });
  if (parts.length === 0) return Math.max(0, before);
  return Math.max(0, before + lostIn(parts.reduce(joined)));
}

/** What one processor has seen of a stream: sequence numbers with the cycles since *its* first packet. */
interface Part {
  readonly lowest: number;
  readonly highest: number;
  readonly received: number;
}

function lostIn({ lowest, highest, received }: Part): number {
  return highest - lowest + 1 - received;
}

/** Both as one. Whose cycles are how far behind, is told by there being the least packets too few or many. */
function joined(one: Part, other: Part): Part {
  const span = other.highest - other.lowest;
  const most = Math.ceil((one.highest - one.lowest + span) / CYCLE) + 1;
  let best: Part | undefined;
  for (let cycles = -most; cycles <= most; cycles += 1) {
    const lowest = other.lowest + cycles * CYCLE;
    const part = {
      lowest: Math.min(one.lowest, lowest),
      highest: Math.max(one.highest, lowest + span),
      received: one.received + other.received,
    };
    if (best === undefined || Math.abs(lostIn(part)) < Math.abs(lostIn(best))) best = part;
  }
  return best as Part;
}

function learned(
  relayTable: table.MediaRelayTable,
  leg: number,
  channel: number,
): Endpoint | undefined {
  const { words } = relayTable;
  const latch = Atomics.load(words, leg + table.LEG_LATCH + channel);
  if (latch === 0) return undefined;
  const source = relayTable.sourceOf(leg, channel, latch);
  const address = words[source + table.SOURCE_ADDRESS];
  return { address, port: words[source + table.SOURCE_PORT] & 0xffff };
}
