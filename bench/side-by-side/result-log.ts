// Collects what the parts find, value by value, into the flat list of series that a result is.

import type { Measure } from './part.ts';
import type { Condition, Missing, Series } from './result.ts';

/** The same condition in the same order has the same key. */
function keyOf(part: string, contender: string, measure: Measure): string {
  return JSON.stringify([part, measure.measure, contender, measure.condition ?? {}]);
}

export class ResultLog {
  readonly #series = new Map<string, Series>();
  readonly #missing: Missing[] = [];

  /** A value that is no number becomes a missing measurement. */
  record(part: string, contender: string, measure: Measure, value: number): void {
    if (!Number.isFinite(value)) {
      this.missing(part, contender, `${measure.measure}: no figure came of it`);
      return;
    }
    const key = keyOf(part, contender, measure);
    const condition: Condition = measure.condition ?? {};
    const { measure: name, unit, better } = measure;
    const series = this.#series.get(key) ?? {
      part,
      measure: name,
      unit,
      better,
      contender,
      condition,
      values: [],
    };
    series.values.push(value);
    this.#series.set(key, series);
  }

  /** Said once, however many rounds it is missing from. */
  missing(part: string, contender: string, reason: string): void {
    const isKnown = this.#missing.some(
      (each) => each.part === part && each.contender === contender && each.reason === reason,
    );
    if (!isKnown) this.#missing.push({ part, contender, reason });
  }

  get series(): readonly Series[] {
    return [...this.#series.values()];
  }

  get allMissing(): readonly Missing[] {
    return this.#missing;
  }
}
