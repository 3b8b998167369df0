// A call as the answers to `query` and `delete` tell it, in the shape of rtpengine's (which Kamailio reads for
// its pseudo-variables): per tag the media, per media the streams with addresses and counts, and totals.
// What it has more are the keys `packets lost`, `jitter us`, `max jitter us` and `SSRC changes` of `stats`.

import * as table from '../tables/media-relay-table.ts';
import { STATE_IN_USE } from '../tables/media-relay-table.ts';
import { formatAddress } from '../wire/ipv4.ts';
import type { Encodable } from './bencode.ts';
import type { Call, Calls, Media, Side } from './calls.ts';
import type { Endpoint, LegReport } from './leg-report.ts';

/** Both clocks at one moment: main memory has monotonic milliseconds, answers have the time of day. */
export interface Moment {
  readonly nowMs: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
}

/** @returns the answer's dictionary, but for `result` */
export function reportCall(calls: Calls, call: Call, moment: Moment): Record<string, Encodable> {
  const created = secondsAt(call.createdMs, moment);
  const tags: Record<string, Encodable> = {};
  for (const side of [0, 1] as const) {
    const tag = call.tags[side];
    if (tag === undefined) continue;
    tags[tag] = {
      tag,
      created,
      'in dialogue with': call.tags[1 - side],
      medias: call.media.map((media, i) => reportMedia(calls, media, side, i, moment)),
    };
  }
  const reports = call.media.flatMap(({ legs }) => legs.map((leg) => calls.report(leg)));
  const total = (of: (report: LegReport) => number) => {
    return reports.reduce((sum, report) => sum + of(report), 0);
  };
  return {
    created,
    'last signal': secondsAt(call.signalledMs, moment),
    SSRC: {},
    tags,
    totals: {
      RTP: {
        packets: total(({ rtpPackets }) => rtpPackets),
        bytes: total(({ rtpBytes }) => rtpBytes),
        errors: total(({ strangers, noMedia }) => strangers + noMedia),
      },
      RTCP: {
        packets: total(({ rtcpPackets }) => rtcpPackets),
        bytes: total(({ rtcpBytes }) => rtcpBytes),
        errors: 0,
      },
    },
  };
}

function reportMedia(
  calls: Calls,
  media: Media,
  side: Side,
  index: number,
  moment: Moment,
): Encodable {
  const leg = media.legs[side];
  const { legs } = calls;
  const flags = legs.word(leg, table.LEG_FLAGS);
  const isInUse = legs.word(leg, table.LEG_STATE) === STATE_IN_USE;
  const report = calls.report(leg);
  const rtp = {
    packets: report.rtpPackets,
    bytes: report.rtpBytes,
    errors: report.strangers + report.noMedia,
    'packets lost': report.lost,
    'jitter us': Math.round(report.jitterMs * 1000),
    'max jitter us': Math.round(report.mostJitterMs * 1000),
    'SSRC changes': report.ssrcChanges,
  };
  const rtcp = { packets: report.rtcpPackets, bytes: report.rtcpBytes, errors: 0 };
  const hold = (flags & table.FLAG_SILENT) !== 0 ? ['on hold'] : [];
  return {
    index: index + 1,
    type: media.type,
    protocol: media.protocols[side],
    flags: isInUse ? ['initialized', ...hold] : [],
    streams: [
      reportStream(calls, leg, table.CHANNEL_RTP, report, rtp, moment),
      reportStream(calls, leg, table.CHANNEL_RTCP, report, rtcp, moment),
    ],
  };
}

function reportStream(
  calls: Calls,
  leg: number,
  channel: number,
  report: LegReport,
  stats: Record<string, number>,
  moment: Moment,
): Encodable {
  const { legs } = calls;
  const at = table.LEG_EXPECTED + channel * 2;
  const expected = { address: legs.word(leg, at), port: legs.word(leg, at + 1) };
  const learned = channel === table.CHANNEL_RTP ? report.rtpSource : report.rtcpSource;
  return {
    'local address': formatAddress(legs.word(leg, table.LEG_ADDRESS)),
    'local port': legs.portOf(leg) + channel,
    family: 'IPv4',
    endpoint: endpointOf(learned ?? expected),
    'advertised endpoint': endpointOf(expected),
    flags: [
      channel === table.CHANNEL_RTP ? 'RTP' : 'RTCP',
      'filled',
      ...(learned === undefined ? [] : ['confirmed']),
    ],
    SSRC: report.ssrc >>> 0,
    'last packet': report.lastAtMs === undefined ? undefined : secondsAt(report.lastAtMs, moment),
    stats,
  };
}

function endpointOf({ address, port }: Endpoint): Encodable {
  return { family: 'IPv4', address: formatAddress(address), port };
}

/** Seconds since 1970 of a time on the monotonic clock. */
function secondsAt(atMs: number, { nowMs, wallMs }: Moment): number {
  return Math.floor((wallMs - ((nowMs - atMs) | 0)) / 1000);
}
