// Session descriptions (SDP, RFC 8866), as far as a media relay has to know them: where the parties expect
// media (m=, c=, a=rtcp of RFC 3605), whether RTCP shares the port (a=rtcp-mux, RFC 5761), the clock of the
// first codec, and who is on hold. Rewriting changes addresses and ports in place and takes away candidates
// of ICE (RFC 8839), by which the parties would go past the relay.
//
// Invariant: everything else stays as it is, byte for byte, ends of lines included. Texts have one byte per
// character.

export interface SdpMedia {
  /** audio, video, image … */
  readonly type: string;
  /** 0: rejected, or not wanted any more. */
  readonly port: number;
  /** RTP/AVP, udptl … */
  readonly protocol: string;
  /** Where it is wanted: of the media's own c=, else of the session's. */
  readonly connection: Connection | undefined;
  /** Whether it has a c= of its own. */
  readonly hasConnection: boolean;
  /** Of a=rtcp; undefined: the port above. */
  readonly rtcpPort: number | undefined;
  readonly hasRtcpMux: boolean;
  /** Clock rate of its first codec. */
  readonly clockRate: number;
  /** Neither on hold nor one-way. */
  readonly isTwoWay: boolean;
}

export interface Connection {
  readonly family: 'IP4' | 'IP6';
  readonly address: string;
}

export interface Sdp {
  readonly medias: readonly SdpMedia[];
  /** Lines with their ends; `media` is -1 for the session's own. */
  readonly lines: readonly {
    readonly text: string;
    readonly end: string;
    readonly media: number;
  }[];
}

/** What is to stand in a media's place. */
export interface MediaPlace {
  readonly address: string;
  readonly port: number;
  readonly protocol: string;
  /** Whether a=rtcp-mux is to be there; undefined: as it is. */
  readonly rtcpMux?: boolean;
}

export interface Rewriting {
  /** In place of a media that is undefined stands what stood there. */
  readonly medias: readonly (MediaPlace | undefined)[];
  /** Whether the address of o= is ours, too. */
  readonly origin: boolean;
  /** Whether the session's c= is ours even if each media has one of its own. */
  readonly sessionConnection: boolean;
  /** Whether 0.0.0.0, which says hold, is replaced like any other address. */
  readonly zeroAddress: boolean;
}

const MOST_LINES = 2000;
const MOST_MEDIAS = 32;
const MEDIA = /^m=(\S+) ([0-9]{1,5})(\/[0-9]+)? (\S+)(.*)$/;
const CONNECTION = /^c=IN (IP4|IP6) ([^\s/]+)(\/\S*)?\s*$/;
const ORIGIN = /^(o=\S+ \S+ \S+ )IN IP[46] \S+(\s*)$/;
const RTCP = /^a=rtcp:([0-9]{1,5})( IN IP[46] \S+)?\s*$/;
const RTCP_MUX = /^a=rtcp-mux\s*$/;
const RTPMAP = /^a=rtpmap:([0-9]{1,3}) [^/]+\/([0-9]{1,6})/;
const ONE_WAY = /^a=(sendonly|recvonly|inactive)\s*$/;
const TWO_WAY = /^a=sendrecv\s*$/;
const ICE =
  /^a=(candidate|remote-candidates|ice-ufrag|ice-pwd|ice-options|ice-lite|ice-mismatch|ice-pacing|end-of-candidates)\b/;

const UNSPECIFIED = '0.0.0.0';
const DEFAULT_CLOCK_RATE = 8000;
/** Payload types of RFC 3551 whose clock is another one. */
const CLOCK_RATES: Readonly<Record<string, number>> = {
  6: 16_000,
  10: 44_100,
  11: 44_100,
  14: 90_000,
  16: 11_025,
  17: 22_050,
  25: 90_000,
  26: 90_000,
  28: 90_000,
  31: 90_000,
  32: 90_000,
  33: 90_000,
  34: 90_000,
};

/** Reads a description; undefined when it is none that can be relayed. */
export function parseSdp(text: string): Sdp | undefined {
  const pieces = text.split(/(\r\n|\n|\r)/);
  if (pieces.length > MOST_LINES * 2 || pieces[0] !== 'v=0') return undefined;
  const lines: { text: string; end: string; media: number }[] = [];
  let media = -1;
  for (let i = 0; i < pieces.length; i += 2) {
    const line = pieces[i];
    if (line !== '' && !/^[a-z]=/.test(line)) return undefined;
    if (line.startsWith('m=')) media += 1;
    if (media >= MOST_MEDIAS) return undefined;
    lines.push({ text: line, end: pieces[i + 1] ?? '', media });
  }
  const textsOf = (which: number) => lines.filter((l) => l.media === which).map((l) => l.text);
  const session = textsOf(-1);
  const medias: SdpMedia[] = [];
  for (let i = 0; i <= media; i += 1) {
    const parsed = parseMedia(textsOf(i), session);
    if (parsed === undefined) return undefined;
    medias.push(parsed);
  }
  return { medias, lines };
}

function parseMedia(lines: readonly string[], session: readonly string[]): SdpMedia | undefined {
  const m = MEDIA.exec(lines[0]);
  const port = Number(m?.[2]);
  const connections = lines.filter((line) => line.startsWith('c='));
  const own = connections.map((line) => connectionOf(line));
  if (m === null || port > 65_535 || own.includes(undefined)) return undefined;
  const inherited = session.find((line) => line.startsWith('c='));
  const connection = own[0] ?? (inherited === undefined ? undefined : connectionOf(inherited));
  if (connection === undefined && port !== 0) return undefined;
  const rtcp = lines.map((line) => RTCP.exec(line)).find((match) => match !== null);
  const direction = [...lines, ...session].find((line) => ONE_WAY.test(line) || TWO_WAY.test(line));
  return {
    type: m[1],
    port,
    protocol: m[4],
    connection,
    hasConnection: own.length > 0,
    rtcpPort: rtcp === undefined ? undefined : Math.min(Number(rtcp[1]), 65_535),
    hasRtcpMux: lines.some((line) => RTCP_MUX.test(line)),
    clockRate: clockRateOf(m[5].trim().split(/\s+/)[0], lines),
    isTwoWay:
      (direction === undefined || TWO_WAY.test(direction)) && connection?.address !== UNSPECIFIED,
  };
}

function connectionOf(line: string): Connection | undefined {
  const match = CONNECTION.exec(line);
  if (match === null) return undefined;
  return { family: match[1] as 'IP4' | 'IP6', address: match[2] };
}

function clockRateOf(payloadType: string, lines: readonly string[]): number {
  const map = lines.map((line) => RTPMAP.exec(line)).find((match) => match?.[1] === payloadType);
  const rate = Number(map?.[2] ?? CLOCK_RATES[payloadType] ?? DEFAULT_CLOCK_RATE);
  return rate > 0 ? rate : DEFAULT_CLOCK_RATE;
}

/** Whether a media is for this relay: wanted at all, and its transport one of UDP. */
export function isRelayable({ port, protocol }: SdpMedia): boolean {
  return port !== 0 && !/^(TCP|SCTP|DTLS)/i.test(protocol);
}

/** The description with other places of media. */
export function rewriteSdp(sdp: Sdp, rewriting: Rewriting): string {
  const { medias, lines } = sdp;
  const first = rewriting.medias.find((place) => place !== undefined);
  const inherits = medias.some((m, i) => !m.hasConnection && rewriting.medias[i] !== undefined);
  let text = '';
  for (const line of lines) {
    if (ICE.test(line.text)) continue;
    const written =
      line.media < 0
        ? sessionLine(line.text, first, rewriting, inherits)
        : mediaLine(line.text, medias[line.media], rewriting.medias[line.media], rewriting);
    if (written === undefined) continue;
    text += written + line.end;
    const place = rewriting.medias[line.media];
    if (line.text.startsWith('m=') && place?.rtcpMux === true && !medias[line.media].hasRtcpMux) {
      text = `${text}${line.end === '' ? '\r\n' : ''}a=rtcp-mux${line.end}`;
    }
  }
  return text;
}

function sessionLine(
  line: string,
  place: MediaPlace | undefined,
  { origin, sessionConnection, zeroAddress }: Rewriting,
  inherits: boolean,
): string {
  if (place === undefined) return line;
  if (line.startsWith('o=') && origin) {
    return line.replace(ORIGIN, (_, before, after) => `${before}IN IP4 ${place.address}${after}`);
  }
  if (line.startsWith('c=') && (sessionConnection || inherits)) {
    return connectionLine(line, place.address, zeroAddress);
  }
  return line;
}

/** @returns undefined: the line is to go */
function mediaLine(
  line: string,
  media: SdpMedia,
  place: MediaPlace | undefined,
  { zeroAddress }: Rewriting,
): string | undefined {
  if (place === undefined) return line;
  if (line.startsWith('m=')) {
    const { port, protocol } = place;
    // Of several ports (`5004/2`) the first one is relayed.
    return line.replace(MEDIA, (_, type, _port, _count, _protocol, rest) => {
      return `m=${type} ${port} ${protocol}${rest}`;
    });
  }
  if (line.startsWith('c=')) return connectionLine(line, place.address, zeroAddress);
  if (place.rtcpMux === false && RTCP_MUX.test(line)) return undefined;
  const rtcp = RTCP.exec(line);
  if (rtcp === null) return line;
  const isShared = Number(rtcp[1]) === media.port && place.rtcpMux !== false;
  const port = isShared ? place.port : place.port + 1;
  return `a=rtcp:${port}${rtcp[2] === undefined ? '' : ` IN IP4 ${place.address}`}`;
}

function connectionLine(line: string, address: string, zeroAddress: boolean): string {
  const isHold = connectionOf(line)?.address === UNSPECIFIED;
  return isHold && !zeroAddress ? line : `c=IN IP4 ${address}`;
}
