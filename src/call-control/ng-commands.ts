// The commands of the ng protocol that this relay knows, in the words in which rtpengine answers them; what
// is done with flags stands in docs/reference/media-relay.md. A command that cannot be done is answered with
// `result` error and a reason, and changes nothing.

import type { Bencoded, Encodable } from './bencode.ts';
import { type Moment, reportCall } from './call-report.ts';
import type { Call, Calls } from './calls.ts';
import { MediaExchange } from './media-exchange.ts';
import { NgRequest, Refusal } from './ng-request.ts';
import type { RelayLog, RelaySettings } from './settings.ts';

const LIST_LIMIT = 32;
/** Bytes of Call-IDs that one answer can bear: it is one datagram. */
const LIST_BYTES = 60_000;
/** Decimal digits and a colon before each. */
const LENGTH_BYTES = 5;
/** Refusals are logged one at a time: whoever can make calls can make them fail. */
const LOG_EVERY_MS = 1000;
const UNKNOWN = "Call-ID not found or tags didn't match";

type Answer = Record<string, Encodable>;

export class NgCommands {
  private readonly calls: Calls;
  private readonly exchange: MediaExchange;
  private readonly log: RelayLog;
  private readonly now: () => Moment;
  readonly counts: Record<string, number> = {};
  private loggedMs: number | undefined;
  private unlogged = 0;

  constructor(calls: Calls, settings: RelaySettings, log: RelayLog, now: () => Moment) {
    this.calls = calls;
    this.exchange = new MediaExchange(calls, settings);
    this.log = log;
    this.now = now;
  }

  /** @returns the answer; never fails because of what was asked */
  handle(asked: Bencoded | undefined): Answer {
    if (!(asked instanceof Map)) return refused('Could not decode dictionary');
    const request = new NgRequest(asked);
    const command = request.text('command');
    if (command === undefined) return refused('Dictionary contains no key "command"');
    try {
      return this.run(command, request);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.note('refused');
      this.logRefusal(command, request, error.message);
      return refused(error.message);
    }
  }

  private run(command: string, request: NgRequest): Answer {
    const { nowMs } = this.now();
    switch (command) {
      case 'ping':
        this.note(command);
        return { result: 'pong' };
      case 'offer':
        this.note(command);
        return { result: 'ok', sdp: this.exchange.offer(request, nowMs) };
      case 'answer':
        this.note(command);
        return { result: 'ok', sdp: this.exchange.answer(request, nowMs) };
      case 'delete':
        this.note(command);
        return this.delete(request);
      case 'query':
        this.note(command);
        return this.query(request);
      case 'list':
        this.note(command);
        return this.list(request);
      default:
        this.note('unknown');
        return refused('Unrecognized command');
    }
  }

  private note(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** As rtpengine does, a call that is not there is a warning: proxies delete twice. */
  private delete(request: NgRequest): Answer {
    const found = this.find(request);
    if (found.length === 0) return { result: 'ok', warning: UNKNOWN };
    const moment = this.now();
    const answer = { result: 'ok', ...reportCall(this.calls, found[0], moment) };
    for (const call of found) this.calls.end(call, moment.nowMs);
    return answer;
  }

  private query(request: NgRequest): Answer {
    const [call] = this.find(request);
    if (call === undefined) throw new Refusal('Unknown call-id');
    return { result: 'ok', ...reportCall(this.calls, call, this.now()) };
  }

  /** Calls of a Call-ID; with tags, those that have them. */
  private find(request: NgRequest): Call[] {
    const tags = [request.text('from-tag'), request.text('to-tag')];
    return this.calls.of(request.required('call-id')).filter((call) => {
      return tags.every((tag) => tag === undefined || tag === '' || this.hasTag(call, tag));
    });
  }

  /** A party whose tag nobody has told can have any. */
  private hasTag({ tags }: Call, tag: string): boolean {
    return tags.includes(tag) || tags[1] === undefined;
  }

  private list(request: NgRequest): Answer {
    const limit = Math.max(0, request.number('limit') ?? LIST_LIMIT);
    const ids = [...new Set(this.calls.all().map(({ callId }) => callId))].slice(0, limit);
    let bytes = 0;
    const calls = ids.filter((id) => {
      bytes += id.length + LENGTH_BYTES;
      return bytes <= LIST_BYTES;
    });
    return { result: 'ok', calls };
  }

  private logRefusal(command: string, request: NgRequest, reason: string): void {
    const { nowMs } = this.now();
    const sinceMs = this.loggedMs === undefined ? LOG_EVERY_MS : (nowMs - this.loggedMs) | 0;
    if (sinceMs < LOG_EVERY_MS) {
      this.unlogged += 1;
      return;
    }
    // What strangers send must not begin a log line of its own.
    const callId = (request.text('call-id') ?? '').replace(/[^\x21-\x7e]/g, '?').slice(0, 120);
    const more = this.unlogged === 0 ? '' : ` (and ${this.unlogged} before)`;
    this.log.warning(`media relay: ${command} of call ${callId} refused: ${reason}${more}`);
    this.loggedMs = nowMs;
    this.unlogged = 0;
  }
}

function refused(reason: string): Answer {
  return { result: 'error', 'error-reason': reason };
}
