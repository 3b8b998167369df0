// What is made of the values of several rounds: the median, because a single round may be spoilt by
// whatever else the machine does, and the spread from least to most, because there are too few rounds
// for anything that supposes a distribution.

/** The middle value, of an even number the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
