// The ng commands of a media relay without a socket: a proxy's side of it, as Kamailio's module does it.
// For tests and nothing else.

import { decode, type Encodable, encode } from '../../src/call-control/bencode.ts';
import { NgCommands } from '../../src/call-control/ng-commands.ts';
import type { RelaySettings } from '../../src/call-control/settings.ts';
import { RELAY_SETTINGS, RelayBench } from './relay-bench.ts';

/** What Kamailio sends for "trust-address replace-origin replace-session-connection ICE=remove RTP/AVP". */
const KAMAILIO = {
  flags: ['trust-address'],
  replace: ['origin', 'session-connection'],
  ICE: 'remove',
  'transport-protocol': 'RTP/AVP',
  'received from': ['IP4', '203.0.113.1'],
};

export function sdpOf(address: string, port: number, more: readonly string[] = []): string {
  const all = [
    'v=0',
    `o=u 1 1 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 8`,
    ...more,
  ];
  return `${all.join('\r\n')}\r\n`;
}

export const FAX = ['m=image 5004 udptl t38', 'a=T38FaxVersion:0'];
export const ALICE = '192.0.2.10';
export const BOB = '198.51.100.20';

export class NgRelay {
  readonly bench: RelayBench;
  readonly commands: NgCommands;
  readonly warnings: string[] = [];

  constructor(settings: Partial<RelaySettings> = {}) {
    this.bench = new RelayBench(settings);
    const now = () => ({ nowMs: this.bench.nowMs, wallMs: 1_700_000_000_000 });
    const log = { info: () => {}, warning: (line: string) => void this.warnings.push(line) };
    const all = { ...RELAY_SETTINGS, ...settings };
    this.commands = new NgCommands(this.bench.calls, all, log, now);
  }

  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever the protocol says.
  ask(command: string, keys: Record<string, Encodable> = {}): any {
    const bytes = Buffer.from(encode({ command, ...keys }), 'latin1');
    return this.commands.handle(decode(bytes));
  }

  offer(keys: Record<string, Encodable> = {}): string {
    const defaults = { 'call-id': 'c1', 'from-tag': 'A', sdp: sdpOf(ALICE, 4000), ...KAMAILIO };
    const answer = this.ask('offer', { ...defaults, ...keys });
    if (answer.result !== 'ok') throw new Error(answer['error-reason']);
    return answer.sdp;
  }

  answer(keys: Record<string, Encodable> = {}): string {
    const names = { 'call-id': 'c1', 'from-tag': 'A', 'to-tag': 'B' };
    const answer = this.ask('answer', { ...names, sdp: sdpOf(BOB, 6000), ...KAMAILIO, ...keys });
    if (answer.result !== 'ok') throw new Error(answer['error-reason']);
    return answer.sdp;
  }
}

export function portIn(sdp: string, type = 'audio'): number {
  return Number(new RegExp(`m=${type} (\\d+)`).exec(sdp)?.[1]);
}
