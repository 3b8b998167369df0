// Offer and answer (RFC 3264): what a party says of its media is put into force for the legs it sends to,
// and what it says reaches the other party with the relay's addresses and ports in place of its own.
// Offers may come again, from either party, with media added, on hold, moved, or changed from sound to fax.
// Invariant: an offer or answer that is refused leaves the call as it was.

import * as table from '../tables/media-relay-table.ts';
import { formatAddress, parseAddress } from '../wire/ipv4.ts';
import type { Call, Calls, Media, Side } from './calls.ts';
import type { Endpoint } from './leg-report.ts';
import { type NgRequest, Refusal } from './ng-request.ts';
import {
  isRelayable,
  type MediaPlace,
  parseSdp,
  rewriteSdp,
  type Sdp,
  type SdpMedia,
} from './sdp.ts';
import type { RelayInterface, RelaySettings } from './settings.ts';

const KIND_FLAGS = table.FLAG_UDPTL | table.FLAG_DTLS;
/** Protocols between which only the name differs, for a relay. */
const PROFILES = [
  ['RTP/AVP', 'RTP/AVPF'],
  ['RTP/SAVP', 'RTP/SAVPF'],
  ['UDP/TLS/RTP/SAVP', 'UDP/TLS/RTP/SAVPF'],
];
/** First bytes of addresses; from multicast on upwards there is nobody. */
const LOOPBACK = 127;
const MULTICAST = 224;
const ICE_REFUSED = ['force', 'force-relay'];
const RTCP_MUX_REFUSED = ['offer', 'reject', 'require'];

/** One offer or answer on its way. */
interface Exchange {
  readonly request: NgRequest;
  readonly isOffer: boolean;
  readonly call: Call;
  /** Who sends it. */
  readonly side: Side;
  readonly nowMs: number;
}

export class MediaExchange {
  private readonly calls: Calls;
  private readonly settings: RelaySettings;

  constructor(calls: Calls, settings: RelaySettings) {
    this.calls = calls;
    this.settings = settings;
  }

  /** @returns the description for the other party. @throws Refusal */
  offer(request: NgRequest, nowMs: number): string {
    const callId = request.required('call-id');
    const from = request.required('from-tag');
    const to = request.text('to-tag');
    const sdp = this.read(request);
    const known = this.callOfOffer(callId, from, to);
    const call = known ?? this.calls.create(callId, from, to, nowMs);
    const side = call.tags[0] === from ? 0 : 1;
    const before = call.media.length;
    try {
      const directions = this.directions(request);
      while (call.media.length < sdp.medias.length) {
        const [sender, receiver] = directions.map(({ address }) => parseAddress(address));
        const addresses =
          side === 0 ? ([sender, receiver] as const) : ([receiver, sender] as const);
        this.calls.addMedia(call, addresses, nowMs);
      }
    } catch (error) {
      if (known === undefined) this.calls.end(call, nowMs);
      else this.calls.dropMedia(call, before, nowMs);
      throw error;
    }
    if (side === 1) this.calls.setTag(call, 1, from);
    return this.exchange({ request, isOffer: true, call, side, nowMs }, sdp);
  }

  /** @returns the description for who made the offer. @throws Refusal */
  answer(request: NgRequest, nowMs: number): string {
    const callId = request.required('call-id');
    const from = request.required('from-tag');
    const to = request.required('to-tag');
    const sdp = this.read(request);
    const call = this.calls.of(callId).find(({ tags }) => tags.includes(from));
    if (call === undefined) throw new Refusal('Unknown call-id');
    const side = call.tags[0] === from ? 1 : 0;
    this.calls.setTag(call, side, to);
    return this.exchange({ request, isOffer: false, call, side, nowMs }, sdp);
  }

  /** A party that is known makes an offer again; or the other one does, whose tag was not told before. */
  private callOfOffer(callId: string, from: string, to: string | undefined): Call | undefined {
    const calls = this.calls.of(callId);
    return (
      calls.find(({ tags }) => tags.includes(from)) ??
      calls.find(({ tags }) => to !== undefined && tags[0] === to)
    );
  }

  private read(request: NgRequest): Sdp {
    const text = request.text('sdp');
    if (text === undefined) throw new Refusal('No SDP body in message');
    const sdp = parseSdp(text);
    if (sdp === undefined) throw new Refusal('Failed to parse SDP');
    if (sdp.medias.length === 0) throw new Refusal('No media in SDP');
    requireSupported(request, sdp);
    return sdp;
  }

  /** Interfaces of the relay towards the sender and the receiver of an offer. */
  private directions(request: NgRequest): readonly [RelayInterface, RelayInterface] {
    const { interfaces } = this.settings;
    const named = request.list('direction').map((name) => {
      const found = interfaces.find((each) => each.name === name);
      if (found === undefined) throw new Refusal(`Unknown interface ${name}`);
      return found;
    });
    return [named[0] ?? interfaces[0], named[1] ?? interfaces[0]];
  }

  private exchange(exchange: Exchange, sdp: Sdp): string {
    const { request, call, nowMs } = exchange;
    call.signalledMs = nowMs;
    const medias = sdp.medias.map((description, i): MediaPlace | undefined => {
      const media = call.media[i];
      if (media === undefined || !isRelayable(description)) return undefined;
      if (this.isOwn(call, description)) return undefined;
      return this.takeOver(exchange, media, description);
    });
    const replace = new Set(request.list('replace'));
    return rewriteSdp(sdp, {
      medias,
      origin: replace.has('origin') || request.flags.has('replace-origin'),
      sessionConnection:
        replace.has('session-connection') || request.flags.has('replace-session-connection'),
      zeroAddress: replace.has('zero-address') || request.flags.has('replace-zero-address'),
    });
  }

  /** What passes a proxy twice names our own ports the second time: it has all that it needs. */
  private isOwn(call: Call, { connection, port }: SdpMedia): boolean {
    const { legs } = this.calls;
    return call.media.some((media) =>
      media.legs.some((leg) => {
        return legs.portOf(leg) === port && this.advertised(leg) === connection?.address;
      }),
    );
  }

  private takeOver(exchange: Exchange, media: Media, description: SdpMedia): MediaPlace {
    const { request, isOffer, side, nowMs } = exchange;
    const { legs } = this.calls;
    const [own, other] = [media.legs[side], media.legs[1 - side]];
    const rtp = endpoint(request, description, description.port);
    const rtcpPort = description.rtcpPort ?? (description.port + 1) & 0xffff;
    const rtcp = endpoint(request, description, rtcpPort);
    const flags = flagsOf(request, description);
    const before = legs.word(own, table.LEG_FLAGS);
    const beforeOther = legs.word(other, table.LEG_FLAGS);
    const mux = request.list('rtcp-mux');
    const isMuxed = description.hasRtcpMux;
    let ownMux = 0;
    let otherMux = beforeOther & table.FLAG_RTCP_MUX;
    if (isOffer) {
      const isAccepted = mux.includes('demux') || mux.includes('accept');
      if (isMuxed) ownMux = isAccepted ? table.FLAG_RTCP_MUX : before & table.FLAG_RTCP_MUX;
    } else if (isMuxed) {
      ownMux = table.FLAG_RTCP_MUX;
      otherMux = table.FLAG_RTCP_MUX;
    }
    const { clockRate } = description;
    const ownFlags = flags | ownMux | (before & table.FLAG_UNTOLD);
    const signalling = signallingAddress(request);
    legs.expect(own, { rtp, rtcp, signalling, clockRate, flags: ownFlags }, nowMs);
    // Of the other party nothing is new, but that it is told its port now. Until it has said where it is, it is
    // guarded as the offer asks. Both send what the answer has chosen, at its clock rate.
    const kept = beforeOther & ~(KIND_FLAGS | table.FLAG_RTCP_MUX | table.FLAG_UNTOLD);
    const isKnown = legs.word(other, table.LEG_EXPECTED) !== 0;
    const guarded = isKnown ? 0 : flags & table.FLAG_STRICT;
    const otherFlags = kept | guarded | (flags & KIND_FLAGS) | otherMux;
    const unchanged = { rtp: undefined, rtcp: undefined, signalling: undefined };
    legs.expect(other, { ...unchanged, clockRate, flags: otherFlags }, nowMs);
    media.type = description.type;
    media.protocols[side] = description.protocol;
    const rtcpMux = isOffer ? (mux.includes('demux') ? false : undefined) : otherMux !== 0;
    return {
      address: request.text('media-address') ?? this.advertised(other),
      port: legs.portOf(other),
      protocol: this.protocolFor(exchange, media, description),
      ...(rtcpMux === undefined ? {} : { rtcpMux }),
    };
  }

  private protocolFor({ request, isOffer, side }: Exchange, media: Media, own: SdpMedia): string {
    const wanted = isOffer ? request.text('transport-protocol') : media.protocols[1 - side];
    return wanted !== undefined && isSameButName(wanted, own.protocol) ? wanted : own.protocol;
  }

  /** The address that the other party is told for a leg. */
  private advertised(leg: number): string {
    const address = formatAddress(this.calls.legs.word(leg, table.LEG_ADDRESS));
    return this.settings.interfaces.find((each) => each.address === address)?.advertise ?? address;
  }
}

/** @returns undefined: the description says nothing about it (hold by 0.0.0.0) */
function endpoint(request: NgRequest, media: SdpMedia, port: number): Endpoint | undefined {
  const text = media.connection?.address;
  if (text === undefined || text === '0.0.0.0') return undefined;
  const source = request.flags.has('SIP-source-address') ? signallingAddress(request) : undefined;
  return { address: source ?? addressOf(text), port };
}

/** Where the party's SIP message came from; undefined: the proxy does not say, or not by IPv4. */
function signallingAddress(request: NgRequest): number | undefined {
  const [, source] = request.list('received-from');
  const address = source === undefined ? 0 : addressOf(source);
  return address === 0 ? undefined : address;
}

/** 0 for a name, and for what is nobody's address: the party is learned. */
function addressOf(text: string): number {
  try {
    const address = parseAddress(text);
    const first = address >>> 24;
    return first === 0 || first === LOOPBACK || first >= MULTICAST ? 0 : address;
  } catch {
    return 0;
  }
}

function flagsOf({ flags }: NgRequest, media: SdpMedia): number {
  const isRtp = /RTP/i.test(media.protocol);
  return (
    (isRtp ? 0 : table.FLAG_UDPTL) |
    (/TLS/i.test(media.protocol) ? table.FLAG_DTLS : 0) |
    (flags.has('asymmetric') ? table.FLAG_ASYMMETRIC : 0) |
    (flags.has('strict-source') ? table.FLAG_STRICT : 0) |
    (flags.has('media-handover') ? table.FLAG_HANDOVER : 0) |
    (media.isTwoWay ? 0 : table.FLAG_SILENT)
  );
}

function isSameButName(a: string, b: string): boolean {
  return a === b || PROFILES.some((names) => names.includes(a) && names.includes(b));
}

/** What would change the media's contents, or has no meaning here, is refused rather than left out. */
function requireSupported(request: NgRequest, sdp: Sdp): void {
  if (ICE_REFUSED.includes(request.text('ICE') ?? '')) throw unsupported('ICE other than remove');
  if (request.text('address-family') === 'IP6') throw unsupported('IPv6');
  const address = request.text('media-address');
  if (address !== undefined && addressOf(address) === 0) {
    throw new Refusal('media-address is no IPv4 address');
  }
  if (request.has('codec')) throw unsupported('changing codecs');
  if (request.has('T.38')) throw unsupported('translating between sound and T.38');
  const mux = request.list('rtcp-mux').find((each) => RTCP_MUX_REFUSED.includes(each));
  if (mux !== undefined) throw unsupported(`rtcp-mux-${mux}`);
  const relayed = sdp.medias.filter(isRelayable);
  if (relayed.some(({ connection }) => connection?.family === 'IP6')) throw unsupported('IPv6');
  const wanted = request.text('transport-protocol');
  const isOffer = request.text('command') === 'offer';
  if (wanted === undefined || !isOffer) return;
  const other = relayed.find(({ protocol }) => {
    return /RTP/i.test(protocol) && !isSameButName(wanted, protocol);
  });
  if (other === undefined) return;
  throw unsupported(`translating ${other.protocol} into ${wanted}`);
}

function unsupported(what: string): Refusal {
  return new Refusal(`${what} is not supported by this relay`);
}
