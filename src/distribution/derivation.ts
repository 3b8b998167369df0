// The way of one backend from what is known of it to its weight, with every figure that stood on it.
// The stages of the synthesis fill it in, in the order of the fields; reasons.ts puts it into words;
// the memory for the next synthesis is taken from it.

import type { Standing } from './availability.ts';
import type { Assignments } from './herd-guard.ts';
import type { EstimateNow } from './load-estimate.ts';
import type { BackendInput, BackendMemory } from './service-distribution.ts';
import type { SlowStart } from './slow-start.ts';

export interface Derivation {
  readonly input: BackendInput;
  readonly before: BackendMemory | undefined;
  /** The configured weight, or the operator's. */
  readonly baseWeight: number;
  /** The factor that the server itself asked for, or undefined. */
  readonly wishedFactor: number | undefined;
  /** The most connections at once that it asked for, or undefined. */
  readonly connectionLimit: number | undefined;
  readonly standing: Standing;
  readonly isTaking: boolean;
  readonly takingMs: number;
  readonly assignments: Assignments;
  /** What it carries now, in connections. */
  readonly carried: number;
  readonly load: EstimateNow;
  /** What feedback wants, before limits of speed; undefined: no report that can be used. */
  wanted: number | undefined;
  /** The part of it that gives way to the configured weight, as next to nothing is to be levelled. */
  resting: number;
  /** Mean utilisation, or time, of the backends with reports: beside what it was judged. */
  mean: number;
  /** Its estimated utilisation now, own assignments counted; undefined: as it was reported. */
  guarded: number | undefined;
  /** The others' time to answer, when its word is not believed. */
  distrustedBesideMs: number | undefined;
  /** The factors in force. */
  feedback: number;
  wish: number;
  slowStart: SlowStart | undefined;
  fullWeight: number;
  exactWeight: number;
  weight: number;
  share: number;
}
