// Finds the highest rate that passes without loss, by halving between a rate that passed and one that
// did not. Loss is not a matter of the rate alone (the machine does other things, too), so the search
// may be led astray by one bad trial: that is what the rounds and their spread are for.

export interface Trial {
  readonly lossRatio: number;
  readonly lost: number;
  /** What was really offered, packets per second. */
  readonly offeredRate: number;
}

export interface FoundRates {
  /** Highest rate offered of which no more than the tolerated share was lost; 0 when there was none. */
  readonly tolerated: number;
  /** Highest rate offered of which not one packet was lost; 0 when there was none. */
  readonly lossless: number;
}

/**
 * @param throughput where the search begins: more than this did not pass when more was offered
 * @param trials after each the range is half as wide
 * @param toleratedLoss share of the packets, 0 … 1
 */
export async function searchRate(
  throughput: number,
  trials: number,
  toleratedLoss: number,
  attempt: (rate: number) => Promise<Trial>,
): Promise<FoundRates> {
  let low = 0;
  let high = throughput;
  let rate = throughput;
  let tolerated = 0;
  let lossless = 0;
  for (let trial = 0; trial < trials && high - low > 1; trial += 1) {
    const { lossRatio, lost, offeredRate } = await attempt(rate);
    if (lossRatio <= toleratedLoss) {
      tolerated = Math.max(tolerated, offeredRate);
      low = rate;
    } else {
      high = rate;
    }
    if (lost <= 0) lossless = Math.max(lossless, offeredRate);
    rate = (low + high) / 2;
  }
  return { tolerated, lossless };
}
