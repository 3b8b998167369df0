// Calls through a media relay without a proxy and without SIP: descriptions are exchanged over the ng protocol
// by hand, and talkers (media-talker.ts) send real packets. For what no real phone does: attack.

import { execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Bencoded, Dictionary, Encodable } from '../../src/call-control/bencode.ts';
import { decode, encode } from '../../src/call-control/bencode.ts';
import { type LabProcess, start } from '../../src/lab/command.ts';
import type { LabHost } from '../../src/lab/network.ts';
import { builtModule } from './built-module.ts';
import type { MediaTalkerOptions, MediaTalkerRow } from './media-talker.ts';
import { portIn, sdpOf } from './ng-relay.ts';

export class MediaTalk {
  readonly ssrc: number;
  private readonly rows: MediaTalkerRow[] = [];
  private readonly process: LabProcess;

  constructor(host: LabHost, options: MediaTalkerOptions) {
    this.ssrc = options.ssrc;
    const program = fileURLToPath(builtModule('test/support/media-talker.ts'));
    this.process = start(execPath, [program, JSON.stringify(options)], {
      namespace: host.namespace,
      pipeOutput: true,
    });
    createInterface({ input: this.process.child.stdout! }).on('line', (line) =>
      this.rows.push(JSON.parse(line) as MediaTalkerRow),
    );
  }

  /** How many packets have come in. */
  get count(): number {
    return this.rows.length;
  }

  /** Packets that came in behind the first `count`: RTP and RTCP, of a sender or of everybody. */
  heard(count = 0, sender?: MediaTalk): { rtp: number; rtcp: number } {
    const rows = this.rows.slice(count).filter(([, ssrc]) => ssrc === (sender?.ssrc ?? ssrc));
    const rtp = rows.filter(([, , sequence]) => sequence >= 0).length;
    return { rtp, rtcp: rows.length - rtp };
  }

  /** Whether RTP and RTCP of the sender have come. */
  hears(sender: MediaTalk): boolean {
    const { rtp, rtcp } = this.heard(0, sender);
    return rtp > 0 && rtcp > 0;
  }

  async stop(): Promise<void> {
    await this.process.stop();
  }
}

/** One call, as a proxy sees it. */
export class NgCall {
  private readonly ask: (request: string) => string;
  private readonly names: Record<string, Encodable>;
  private readonly flags: string[];
  private readonly lines: string[];

  /** @param ask sends a request to the relay, and gives its answer without the cookie */
  constructor(ask: (request: string) => string, callId: string, flags: string[], lines: string[]) {
    this.ask = ask;
    this.names = { 'call-id': callId, 'from-tag': 'A', 'to-tag': 'B' };
    this.flags = flags;
    this.lines = lines;
  }

  private command(command: string, keys: Record<string, Encodable> = {}): Dictionary {
    const text = this.ask(encode({ command, ...this.names, ...keys }));
    const answer = decode(Buffer.from(text, 'latin1'));
    const result = answer instanceof Map ? answer.get('result') : undefined;
    if (result !== 'ok') throw new Error(`${command} was answered with ${text}`);
    return answer as Dictionary;
  }

  /** @returns the port that the other party is told */
  describe(command: 'offer' | 'answer', address: string, port: number): number {
    const sdp = sdpOf(address, port, this.lines);
    const answer = this.command(command, { sdp, flags: this.flags });
    return portIn(answer.get('sdp') as string);
  }

  end(): void {
    this.command('delete');
  }

  /** Figures of what a party has sent: `stats` of its RTP. */
  statistics(tag: 'A' | 'B'): Record<string, number> {
    const get = (from: Bencoded | undefined, key: string) => (from as Dictionary).get(key);
    const party = get(get(this.command('query'), 'tags'), tag);
    const [media] = get(party, 'medias') as Dictionary[];
    const [stream] = get(media, 'streams') as Dictionary[];
    return Object.fromEntries(get(stream, 'stats') as Map<string, number>);
  }
}
