// A party of a call, or somebody who attacks one, with real packets: sends RTP and RTCP from a pair of ports
// until it is ended, and writes a line for each packet that comes in: [port, SSRC, sequence number]; the
// number is -1 for RTCP. A party sends to one pair of ports; an attacker to one pair after the other of a whole
// range, round and round. Runs as a process in a host's namespace; SIGTERM ends it.
// Run as: media-talker.js '{"port":41000,"ssrc":1,"to":"10.1.0.1","first":30000,"last":30000}'

import { createSocket, type Socket } from 'node:dgram';
import { argv, stdout } from 'node:process';
import { rtcp, rtp } from './relay-bench.ts';

export interface MediaTalkerOptions {
  /** Own port of RTP; RTCP has the next one. */
  readonly port: number;
  readonly ssrc: number;
  /** The relay's address, and its first and last even port. */
  readonly to: string;
  readonly first: number;
  readonly last: number;
  /** RTCP goes to the port of RTP, from there. */
  readonly isMuxed?: boolean;
  /** One of so many packets is counted and not sent. 0: none. */
  readonly skipEvery?: number;
}

export type MediaTalkerRow = [port: number, ssrc: number, sequence: number];

const EVERY_MS = 10;
/** Ports of an attacker in one turn. */
const PORTS_AT_ONCE = 100;
const STEP = 80;

const options = JSON.parse(argv[2]) as MediaTalkerOptions;
const { port, ssrc, to, first, last, isMuxed = false, skipEvery = 0 } = options;

function open(own: number): Socket {
  const socket = createSocket('udp4');
  socket.on('error', () => {});
  socket.on('message', (bytes) => {
    const isRtcp = bytes[1] === 201;
    const row: MediaTalkerRow = [
      own,
      bytes.readUInt32BE(isRtcp ? 4 : 8),
      isRtcp ? -1 : bytes.readUInt16BE(2),
    ];
    stdout.write(`${JSON.stringify(row)}\n`);
  });
  socket.bind(own);
  return socket;
}

const media = open(port);
const control = open(port + 1);
let sequence = 0;
let next = first;

function talk(): void {
  sequence += 1;
  const packet = rtp({ sequence, timestamp: sequence * STEP, ssrc, size: STEP });
  const isSkipped = skipEvery > 0 && sequence % skipEvery === 0;
  for (let i = 0; i < PORTS_AT_ONCE; i += 1) {
    if (!isSkipped) media.send(packet, next, to);
    if (isMuxed) media.send(rtcp(ssrc), next, to);
    else control.send(rtcp(ssrc), next + 1, to);
    next = next >= last ? first : next + 2;
    if (first === last) return;
  }
}

setInterval(talk, EVERY_MS);
process.on('SIGTERM', () => process.exit(0));
