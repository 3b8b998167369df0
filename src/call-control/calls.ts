// The calls of the media relay, by their SIP names: Call-ID, and one tag for each of the two parties. The
// first party (side 0) is the one whose offer was first. A call has one pair of legs for each media.
//
// What must outlive a control processor stands in main memory: legs, and the names beside the first pair of
// them. Names too long for it make a call that a new control processor cannot find by name; its media go on,
// and it ends by its timeout.
// Invariant: every leg in use belongs to exactly one call.

import * as table from '../tables/media-relay-table.ts';
import { type LegReport, reportLeg } from './leg-report.ts';
import type { Legs } from './legs.ts';
import { Refusal } from './ng-request.ts';
import type { RelaySettings } from './settings.ts';

export type Side = 0 | 1;

export interface Media {
  /** Of side 0 and side 1: the leg to which that party sends. */
  readonly legs: readonly [number, number];
  type: string;
  /** Of each party's own last description; '' not known. */
  readonly protocols: [string, string];
}

export interface Call {
  readonly callId: string;
  readonly tags: [string, string | undefined];
  readonly media: Media[];
  readonly createdMs: number;
  signalledMs: number;
}

/** Bytes of a Call-ID, and of the two tags together, that main memory keeps. */
export const KEPT_CALL_ID = table.NAMES_WORDS * 4 - 1;
export const KEPT_TAGS = table.NAMES_WORDS * 4 - 2;

export class Calls {
  readonly legs: Legs;
  private readonly settings: RelaySettings;
  private readonly byId = new Map<string, Call[]>();
  private count = 0;

  constructor(legs: Legs, settings: RelaySettings) {
    this.legs = legs;
    this.settings = settings;
  }

  get size(): number {
    return this.count;
  }

  /** Takes over the calls that main memory holds. @returns how many there are */
  begin(nowMs: number): number {
    const byCall = new Map<number, number[]>();
    for (const leg of this.legs.begin()) {
      const first = this.legs.callOf(leg);
      byCall.set(first, [...(byCall.get(first) ?? []), leg]);
    }
    for (const [first, members] of byCall) this.adopt(first, members, nowMs);
    return this.count;
  }

  private adopt(first: number, members: readonly number[], nowMs: number): void {
    const { legs } = this;
    const pairs = new Map<number, [number, number]>();
    for (const leg of members) {
      const place = legs.placeOf(leg);
      const pair = pairs.get(place >> 1) ?? [-1, -1];
      pair[place & 1] = leg;
      pairs.set(place >> 1, pair);
    }
    const ordered = [...pairs].sort(([a], [b]) => a - b).map(([, pair]) => pair);
    // Half a pair is what a control processor leaves that was killed in the midst of opening it.
    if (ordered[0]?.[0] !== first || ordered.some((pair) => pair.includes(-1))) {
      for (const leg of members) legs.close(leg, nowMs);
      return;
    }
    const [callId, ...tags] = this.readNames(ordered[0]);
    this.add({
      callId,
      tags: [tags[0], tags[1] === '' ? undefined : tags[1]],
      media: ordered.map((pair) => ({ legs: pair, type: '', protocols: ['', ''] })),
      createdMs: legs.word(first, table.LEG_CREATED),
      signalledMs: legs.word(first, table.LEG_SIGNALLED),
    });
  }

  /** Calls of one Call-ID. */
  of(callId: string): readonly Call[] {
    return this.byId.get(callId) ?? [];
  }

  all(): Call[] {
    return [...this.byId.values()].flat();
  }

  create(callId: string, tag: string, otherTag: string | undefined, nowMs: number): Call {
    const call: Call = {
      callId,
      tags: [tag, otherTag],
      media: [],
      createdMs: nowMs,
      signalledMs: nowMs,
    };
    this.add(call);
    return call;
  }

  private add(call: Call): void {
    this.byId.set(call.callId, [...this.of(call.callId), call]);
    this.count += 1;
  }

  setTag(call: Call, side: Side, tag: string): void {
    if (call.tags[side] === tag) return;
    call.tags[side] = tag;
    if (call.media.length > 0) this.writeNames(call);
  }

  /**
   * One more media of a call.
   * @param addresses of the relay, towards side 0 and side 1, as int32
   * @throws Refusal when there are no ports
   */
  addMedia(call: Call, addresses: readonly [number, number], nowMs: number): Media {
    const { legs } = this;
    const first = legs.take(nowMs);
    const second = first === undefined ? undefined : legs.take(nowMs);
    if (first === undefined || second === undefined) {
      if (first !== undefined) legs.putBack(first);
      throw new Refusal('Ran out of ports');
    }
    const owner = call.media[0]?.legs[0] ?? first;
    const place = call.media.length * 2;
    const media: Media = { legs: [first, second], type: '', protocols: ['', ''] };
    legs.open(first, { address: addresses[0], peer: second, call: owner, place }, nowMs);
    legs.open(second, { address: addresses[1], peer: first, call: owner, place: place + 1 }, nowMs);
    call.media.push(media);
    if (call.media.length === 1) this.writeNames(call);
    return media;
  }

  /** Takes away what was added behind the first `count` media. */
  dropMedia(call: Call, count: number, nowMs: number): void {
    const dropped = call.media.splice(count);
    for (const { legs } of dropped) for (const leg of legs) this.legs.close(leg, nowMs);
  }

  end(call: Call, nowMs: number): void {
    const others = this.of(call.callId).filter((each) => each !== call);
    if (others.length === this.of(call.callId).length) return;
    if (others.length === 0) this.byId.delete(call.callId);
    else this.byId.set(call.callId, others);
    this.count -= 1;
    this.dropMedia(call, 0, nowMs);
  }

  /** Ends the calls that nothing has been heard of. @returns how many those were */
  expire(nowMs: number): number {
    let ended = 0;
    for (const call of this.all()) {
      const silentMs = (nowMs - this.lastHeard(call)) | 0;
      const limit = this.isSilent(call) ? this.settings.silentTimeoutMs : this.settings.timeoutMs;
      if (silentMs < limit) continue;
      this.end(call, nowMs);
      ended += 1;
    }
    return ended;
  }

  /** When a command or a packet was last heard of it. */
  private lastHeard(call: Call): number {
    const reports = call.media.flatMap(({ legs }) => legs.map((leg) => this.report(leg).lastAtMs));
    return reports.reduce<number>(
      (last, at) => (at !== undefined && ((at - last) | 0) > 0 ? at : last),
      call.signalledMs,
    );
  }

  /** Whether all of its media is on hold, or wanted by one party only. */
  private isSilent({ media }: Call): boolean {
    const isOnHold = (leg: number) =>
      (this.legs.word(leg, table.LEG_FLAGS) & table.FLAG_SILENT) !== 0;
    return media.length > 0 && media.every(({ legs }) => legs.some(isOnHold));
  }

  report(leg: number): LegReport {
    const { relayTable, processors } = this.legs;
    return reportLeg(relayTable, relayTable.leg(leg), processors);
  }

  private writeNames({ callId, tags, media }: Call): void {
    const [first, second] = media[0].legs;
    const { relayTable } = this.legs;
    const ids = relayTable.namesOf(relayTable.leg(first));
    const both = relayTable.namesOf(relayTable.leg(second));
    const [a, b = ''] = tags;
    const isKept = callId.length <= KEPT_CALL_ID && a.length + b.length <= KEPT_TAGS;
    ids[0] = 0;
    if (!isKept) return;
    both[0] = a.length;
    both[1] = b.length;
    both.set(Buffer.from(a + b, 'latin1'), 2);
    ids.set(Buffer.from(callId, 'latin1'), 1);
    ids[0] = callId.length;
  }

  /** Call-ID and both tags; empty ones for a call without names. */
  private readNames([first, second]: readonly [number, number]): [string, string, string] {
    const { relayTable } = this.legs;
    const ids = Buffer.from(relayTable.namesOf(relayTable.leg(first)));
    const both = Buffer.from(relayTable.namesOf(relayTable.leg(second)));
    const callId = ids.toString('latin1', 1, 1 + Math.min(ids[0], KEPT_CALL_ID));
    const firstEnd = 2 + Math.min(both[0], KEPT_TAGS);
    const secondEnd = Math.min(firstEnd + both[1], KEPT_TAGS + 2);
    if (callId === '') return ['', '', ''];
    return [
      callId,
      both.toString('latin1', 2, firstEnd),
      both.toString('latin1', firstEnd, secondEnd),
    ];
  }
}
