// The highest rate that is still carried, by halving the span between one that is and one that is
// not. Spans are halved by their ratio, so that each trial tells as much about low rates as about
// high ones.

export interface RateSpan {
  /** Rates per second. */
  readonly from: number;
  readonly to: number;
}

/**
 * @param trials how often `isCarried` may be asked; each halves the span that is left
 * @returns the highest rate that was carried; 0 when none was
 */
export async function highestRate(
  { from, to }: RateSpan,
  trials: number,
  isCarried: (rate: number) => Promise<boolean>,
): Promise<number> {
  let carried = 0;
  let lower = from;
  let upper = to;
  for (let trial = 0; trial < trials; trial += 1) {
    const rate = Math.round(Math.sqrt(lower * upper));
    if (await isCarried(rate)) {
      carried = rate;
      lower = rate;
    } else upper = rate;
  }
  return carried;
}
