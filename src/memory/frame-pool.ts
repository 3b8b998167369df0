// The packet frames (UMEM chunks) and who owns each of them: the buffer descriptors of Figs. 10–13.
// Every frame has a home processor, whose private stack it returns to; a processor that is done with
// a foreign frame sends it home through a return lane.
//
// Frame owners section, one int32 per frame, written only by the present owner:
//
//   FREE       0                          in its home's pool (so zeroed memory is all free)
//   INTERFACE  0x10000 | socket           in a ring of that socket, or in the kernel behind it
//   HANDED     0x20000 | from << 6 | to   in the hand-over lane between two processors
//   RETURNED   0x30000 | from << 6 | to   in the return lane to its home
//   PROCESSOR  0x40000 | processor        in a processor's hands
//
// A killed processor starts again with `recover`: the words say what belonged to it. That is exact,
// because every change of hands keeps this order:
//   into a lane or a ring   1. mark the owner   2. write the message   3. publish
//   out of a lane or ring   1. mark the owner   2. release the message, before anything done with
//                              a frame of the burst is published (flush, publishReturns)
// so a frame marked as given away but never published is still the giver's, and a message whose
// frame is already marked as taken is stale. (The first word of a hand-over message is the offset of
// the frame; of a return message its number.) Only what the kernel may hold without showing it in
// a ring needs patience: such frames are suspects until `confirmSuspects`.

import { FRAME_HEADROOM, FRAME_SIZE, HAND_OVER_LANE_CAPACITY } from './layout.ts';
import type { MainMemory } from './region.ts';
import { handOverLane, returnLane, SpscRing } from './spsc-ring.ts';

export const OWNER_FREE = 0;
export const OWNER_INTERFACE = 0x10000;
const OWNER_HANDED = 0x20000;
const OWNER_RETURNED = 0x30000;
export const OWNER_PROCESSOR = 0x40000;
const OWNER_KIND = ~0xffff;
const OWNER_KIND_AND_TO = OWNER_KIND | 63;
const FRAME_SHIFT = Math.log2(FRAME_SIZE);

/** The frames found in the rings of one socket (fill, receive, transmit, completion). */
export interface SocketFrames {
  /** The number given to `toInterface`: below 65536. */
  readonly socket: number;
  /** One byte per frame: 1 when it is in one of the socket's rings. */
  readonly inRings: Uint8Array;
}

export class FramePool {
  private readonly words: Int32Array;
  private readonly owners: number;
  private readonly framesStart: number;
  private readonly processor: number;
  private readonly processors: number;
  private readonly frames: number;
  private readonly homeShift: number;
  private readonly mine: number;
  private readonly handedToMe: number;
  private readonly memory: MainMemory;
  /** Free frames of this home, by number; the hottest on top. */
  private readonly stack: Int32Array;
  private depth: number;
  /** Return lanes by home processor; our own is never used. */
  private readonly outgoing: SpscRing[];
  private readonly incoming: SpscRing[];
  private returnsPending: number;
  private readonly suspect: Uint8Array;
  private suspects: number;
  /** Frames that recovery brought back because whoever held them was killed. */
  reclaimed: number;
  /** Frames offered in a state that they were not in: each is a bug of the caller, or stale. */
  misplaced: number;

  /** Empty until `recover` has been called: at the first start as after every other. */
  constructor(memory: MainMemory, processor: number) {
    const { layout } = memory;
    this.memory = memory;
    this.words = memory.words;
    this.owners = layout.frameOwners >> 2;
    this.framesStart = layout.framesStart;
    this.processor = processor;
    this.processors = layout.processors;
    this.frames = layout.frames;
    this.homeShift = Math.log2(layout.frames);
    this.mine = OWNER_PROCESSOR | processor;
    this.handedToMe = OWNER_HANDED | processor;
    this.stack = new Int32Array(Math.ceil(layout.frames / layout.processors));
    this.depth = 0;
    this.outgoing = [];
    this.incoming = [];
    for (let p = 0; p < layout.processors; p++) {
      const capacity = layout.returnLaneCapacity;
      this.outgoing.push(new SpscRing(memory, returnLane(layout, processor, p), capacity));
      this.incoming.push(new SpscRing(memory, returnLane(layout, p, processor), capacity));
    }
    this.returnsPending = 0;
    this.suspect = new Uint8Array(layout.frames);
    this.suspects = 0;
    this.reclaimed = 0;
    this.misplaced = 0;
  }

  /** Free frames on this processor's own stack. */
  get freeCount(): number {
    return this.depth;
  }

  /** Frames that the kernel may still hold since before a restart. */
  get suspectCount(): number {
    return this.suspects;
  }

  /** The frame that the byte at `offset` belongs to. @hot */
  frameOf(offset: number): number {
    return (offset - this.framesStart) >> FRAME_SHIFT;
  }

  /** The processor a frame returns to: each has an equal, contiguous share. @hot */
  homeOf(frame: number): number {
    return Math.imul(frame, this.processors) >> this.homeShift;
  }

  /** One free frame: the offset of the first byte behind its headroom; -1 when there is none. @hot */
  take(): number {
    if (this.depth === 0) return -1;
    this.depth = (this.depth - 1) | 0;
    const frame = this.stack[this.depth];
    this.words[this.owners + frame] = this.mine;
    return this.framesStart + (frame << FRAME_SHIFT) + FRAME_HEADROOM;
  }

  /**
   * Done with a frame that is in this processor's hands; `offset` anywhere in it. A foreign one
   * starts on its way home with the next `publishReturns`. 0 when it was not in our hands. @hot
   */
  give(offset: number): number {
    const frame = (offset - this.framesStart) >> FRAME_SHIFT;
    if (this.words[this.owners + frame] !== this.mine) {
      this.misplaced = (this.misplaced + 1) | 0;
      return 0;
    }
    this.giveFrame(frame);
    return 1;
  }

  /** @hot */
  private giveFrame(frame: number): void {
    const home = Math.imul(frame, this.processors) >> this.homeShift;
    if (home === this.processor) {
      this.words[this.owners + frame] = OWNER_FREE;
      this.stack[this.depth] = frame;
      this.depth = (this.depth + 1) | 0;
      return;
    }
    this.words[this.owners + frame] = OWNER_RETURNED | (this.processor << 6) | home;
    // A return lane has room for every frame of its home, and no frame is in it twice.
    this.outgoing[home].push(frame, 0);
    this.returnsPending = (this.returnsPending + 1) | 0;
  }

  /** Sends foreign frames home: once per turn, after all lanes have been released. @hot */
  publishReturns(): void {
    if (this.returnsPending === 0) return;
    for (let p = 0; p < this.processors; p++) this.outgoing[p].publish();
    this.returnsPending = 0;
  }

  /** Takes in frames that others have sent home; returns how many. @hot */
  collectReturned(): number {
    let collected = 0;
    for (let p = 0; p < this.processors; p++) {
      if (p === this.processor) continue;
      const lane = this.incoming[p];
      const count = lane.available();
      if (count === 0) continue;
      const expected = OWNER_RETURNED | (p << 6) | this.processor;
      for (let i = 0; i < count; i++) {
        const frame = lane.first(i);
        if (this.words[this.owners + frame] !== expected) {
          this.misplaced = (this.misplaced + 1) | 0;
          continue;
        }
        this.words[this.owners + frame] = OWNER_FREE;
        this.stack[this.depth] = frame;
        this.depth = (this.depth + 1) | 0;
        collected = (collected + 1) | 0;
      }
      lane.release(count);
    }
    return collected;
  }

  /** The frame is about to be written into a ring of `socket`. @hot */
  toInterface(offset: number, socket: number): void {
    this.words[this.owners + ((offset - this.framesStart) >> FRAME_SHIFT)] =
      OWNER_INTERFACE | socket;
  }

  /**
   * The frame was found in a receive or completion ring. 0 when it belongs to no interface: the
   * ring's entry is then stale and must be skipped. @hot
   */
  fromInterface(offset: number): number {
    const frame = (offset - this.framesStart) >> FRAME_SHIFT;
    if ((this.words[this.owners + frame] & OWNER_KIND) !== OWNER_INTERFACE) {
      this.misplaced = (this.misplaced + 1) | 0;
      return 0;
    }
    this.words[this.owners + frame] = this.mine;
    if (this.suspects !== 0 && this.suspect[frame] !== 0) {
      this.suspect[frame] = 0;
      this.suspects = (this.suspects - 1) | 0;
    }
    return 1;
  }

  /** The frame is about to be pushed into the hand-over lane to `processor`. @hot */
  toLane(offset: number, processor: number): void {
    this.words[this.owners + ((offset - this.framesStart) >> FRAME_SHIFT)] =
      OWNER_HANDED | (this.processor << 6) | processor;
  }

  /**
   * The frame was found in a hand-over lane to this processor; release the lane before anything
   * else happens to it. 0 when the message is stale and must be skipped. @hot
   */
  fromLane(offset: number): number {
    const frame = (offset - this.framesStart) >> FRAME_SHIFT;
    if ((this.words[this.owners + frame] & OWNER_KIND_AND_TO) !== this.handedToMe) {
      this.misplaced = (this.misplaced + 1) | 0;
      return 0;
    }
    this.words[this.owners + frame] = this.mine;
    return 1;
  }

  /** Undoes `toInterface` or `toLane` when the ring or lane turned out to be full. @hot */
  keep(offset: number): void {
    this.words[this.owners + ((offset - this.framesStart) >> FRAME_SHIFT)] = this.mine;
  }

  /** The owner word of a frame, for tests and diagnosis. */
  ownerOf(frame: number): number {
    return Atomics.load(this.words, this.owners + frame);
  }

  /**
   * Takes possession of all frames that are this processor's, at every start and before it switches
   * anything; before the processor's own ends of the hand-over lanes are constructed. `sockets` are
   * this processor's, with what is in their rings now. Returns how many frames were reclaimed from
   * the process before.
   */
  recover(sockets: readonly SocketFrames[]): number {
    this.depth = 0;
    this.suspect.fill(0);
    this.suspects = 0;
    const before = this.reclaimed;
    this.releaseStaleMessages();
    // The lanes are looked at before the owners: a consumer marks first and releases later, so a
    // frame that is still marked as sent but was not in the lane has never been published.
    const sent = this.framesInLanesFromMe();
    const socketOf = new Map(sockets.map((s) => [OWNER_INTERFACE | s.socket, s.inRings]));
    for (let frame = 0; frame < this.frames; frame++) {
      const owner = Atomics.load(this.words, this.owners + frame);
      if (owner === OWNER_FREE) {
        if (this.homeOf(frame) === this.processor) this.giveFrame(frame);
      } else if (owner === this.mine) {
        this.recoverOwn(frame, sockets);
      } else if ((owner & OWNER_KIND) === OWNER_INTERFACE) {
        if (socketOf.get(owner)?.[frame] === 0) {
          this.suspect[frame] = 1;
          this.suspects += 1;
        }
      } else if (this.isSentByMe(owner) && sent[frame] === 0) {
        this.giveFrame(frame);
        this.reclaimed += 1;
      }
    }
    this.publishReturns();
    return this.reclaimed - before;
  }

  /**
   * Reclaims the suspects that neither came back nor are in a ring now; to be called 2 s or more
   * after `recover`. Not for zero-copy sockets, whose drivers keep idle frames for as long as no
   * packet arrives: leave those out of `sockets`.
   */
  confirmSuspects(sockets: readonly SocketFrames[]): number {
    if (this.suspects === 0) return 0;
    let count = 0;
    const socketOf = new Map(sockets.map((s) => [OWNER_INTERFACE | s.socket, s.inRings]));
    for (let frame = 0; frame < this.frames; frame++) {
      if (this.suspect[frame] === 0) continue;
      const inRings = socketOf.get(this.ownerOf(frame));
      if (inRings === undefined) continue;
      this.suspect[frame] = 0;
      this.suspects -= 1;
      if (inRings[frame] !== 0) continue;
      this.giveFrame(frame);
      count += 1;
    }
    this.publishReturns();
    this.reclaimed += count;
    return count;
  }

  private isSentByMe(owner: number): boolean {
    const kind = owner & OWNER_KIND;
    if (kind !== OWNER_HANDED && kind !== OWNER_RETURNED) return false;
    return ((owner >> 6) & 1023) === this.processor;
  }

  /** A frame in our hands that is still in a ring was taken but not released: it stays there. */
  private recoverOwn(frame: number, sockets: readonly SocketFrames[]): void {
    for (const { socket, inRings } of sockets) {
      if (inRings[frame] === 0) continue;
      this.words[this.owners + frame] = OWNER_INTERFACE | socket;
      return;
    }
    this.giveFrame(frame);
    this.reclaimed += 1;
  }

  /** Messages at the head of our incoming lanes whose frame the killed process had taken. */
  private releaseStaleMessages(): void {
    const { layout } = this.memory;
    for (let p = 0; p < this.processors; p++) {
      const route = (p << 6) | this.processor;
      this.releaseStale(this.incoming[p], OWNER_RETURNED | route, false);
      const handed = handOverLane(layout, p, this.processor);
      const lane = new SpscRing(this.memory, handed, HAND_OVER_LANE_CAPACITY);
      this.releaseStale(lane, OWNER_HANDED | route, true);
    }
  }

  private releaseStale(lane: SpscRing, expected: number, byOffset: boolean): void {
    const count = lane.available();
    let stale = 0;
    while (stale < count) {
      const message = lane.first(stale);
      const frame = byOffset ? this.frameOf(message) : message;
      if (this.ownerOf(frame) === expected) break;
      stale += 1;
    }
    lane.release(stale);
  }

  private framesInLanesFromMe(): Uint8Array {
    const found = new Uint8Array(this.frames);
    const { layout } = this.memory;
    for (let p = 0; p < this.processors; p++) {
      const back = this.outgoing[p];
      for (let i = back.available() - 1; i >= 0; i--) found[back.first(i)] = 1;
      const handed = handOverLane(layout, this.processor, p);
      const lane = new SpscRing(this.memory, handed, HAND_OVER_LANE_CAPACITY);
      for (let i = lane.available() - 1; i >= 0; i--) found[this.frameOf(lane.first(i))] = 1;
    }
    return found;
  }
}
