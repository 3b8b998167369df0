import { describe, expect, it } from 'vitest';
import * as table from './configuration-table.ts';
import * as record from './connection-record.ts';
import {
  CONNECTION_STATES,
  type ConnectionState,
  marksAfter,
  stateAt,
  tcpState,
  tcpStateOneSided,
} from './connection-states.ts';

const FLAGS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16 };

/** 'c:S s:SA c:A' → the state after these segments, both sides seen and one side seen. */
function play(segments: string): { both: ConnectionState; oneSided: ConnectionState } {
  let client = 0;
  let server = 0;
  for (const segment of segments.split(' ')) {
    const [side, letters] = segment.split(':');
    const flags = [...letters].reduce((sum, letter) => sum | FLAGS[letter], 0);
    if (side === 'c') client = marksAfter(client, flags);
    else server = marksAfter(server, flags);
  }
  return {
    both: CONNECTION_STATES[tcpState(client, server)],
    oneSided: CONNECTION_STATES[tcpStateOneSided(client)],
  };
}

describe('the state of a TCP connection', () => {
  const handshake = 'c:S s:SA c:A';
  const cases: [string, string, ConnectionState, ConnectionState][] = [
    ['first SYN', 'c:S', 'syn-sent', 'syn-received'],
    ['SYN sent again', 'c:S c:S', 'syn-sent', 'syn-received'],
    ['ACK before any answer', 'c:S c:A', 'syn-sent', 'established'],
    ['answered', 'c:S s:SA', 'syn-received', 'syn-received'],
    ['handshake complete', handshake, 'established', 'established'],
    ['picked up in the middle, not answered', 'c:PA c:PA', 'syn-sent', 'established'],
    ['picked up in the middle', 'c:PA s:A', 'established', 'established'],
    ['client closes', `${handshake} c:FA`, 'close-wait', 'fin-wait'],
    [
      'client half closed, data goes on',
      `${handshake} c:FA s:A s:PA c:A`,
      'close-wait',
      'time-wait',
    ],
    ['server closes', `${handshake} s:FA`, 'fin-wait', 'established'],
    ['both close, last ACK missing', `${handshake} c:FA s:FA`, 'last-ack', 'fin-wait'],
    ['client closes first, to the end', `${handshake} c:FA s:A s:FA c:A`, 'time-wait', 'time-wait'],
    ['server closes first, to the end', `${handshake} s:FA c:A c:FA s:A`, 'time-wait', 'fin-wait'],
    ['FIN sent again', `${handshake} c:FA c:FA s:FA`, 'last-ack', 'fin-wait'],
    ['client resets', `${handshake} c:R`, 'close', 'close'],
    ['server refuses', 'c:S s:RA', 'close', 'syn-received'],
    ['a reset that its target ignored', `${handshake} c:R c:A`, 'established', 'established'],
    ['the other side does not take it back', `${handshake} c:R s:A`, 'close', 'close'],
    ['a reset while closing', `${handshake} c:FA s:R`, 'close', 'fin-wait'],
  ];
  for (const [name, segments, both, oneSided] of cases) {
    it(`${name}: ${segments}`, () => {
      expect(play(segments)).toEqual({ both, oneSided });
    });
  }
});

describe('the state of a record', () => {
  const marks = (flags: number[]) => flags.reduce((sum, each) => marksAfter(sum, each), 0);
  const stateOf = (forwarding: number, protocol: number): ConnectionState => {
    const words = new Int32Array(64);
    words[32 + record.LINE_PORT] = (protocol << 8) | forwarding;
    words[32 + record.LINE_MARKS] = marks([FLAGS.S, FLAGS.A, FLAGS.F | FLAGS.A]);
    words[32 + record.LINE_WORDS + record.LINE_MARKS] = marks([FLAGS.S | FLAGS.A]);
    return CONNECTION_STATES[stateAt(words, 32)];
  };

  it('knows which side is which, and which protocols have one', () => {
    expect(stateOf(table.FORWARDING_NAT, 6)).toBe('close-wait');
    expect(stateOf(table.FORWARDING_DSR, 6)).toBe('fin-wait');
    // Who began it stands in the record as the server.
    expect(stateOf(table.FORWARDING_SOURCE_NAT, 6)).toBe('fin-wait');
    expect([17, 1].map((protocol) => stateOf(table.FORWARDING_NAT, protocol))).toEqual([
      'udp',
      'udp',
    ]);
    expect(stateOf(table.FORWARDING_DSR, record.PROTOCOL_TEMPLATE_TCP)).toBe('persistence');
  });
});
