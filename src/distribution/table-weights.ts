// From exact weights to the integers of the configuration table. All backends of a service are
// multiplied by one factor, so that a weight that feedback moved by 1 % still differs from one that
// it did not; whoever takes connections has at least 1.
//
// Invariant: integers from 0 to 65535. When no weight needs the resolution the integers are the
// exact weights themselves, so that a service without feedback has in its table what its file says.

/** The greatest weight that a table holds. */
export const MAX_TABLE_WEIGHT = 65_535;

/** 1 % of a weight of 1 is one unit. */
const RESOLUTION = 100;

/**
 * @param exact weights in units of configured ones, finite, 0 for those that take nothing
 * @param highest what a weight may rise to by feedback: the factor does not change when one does
 * @returns one integer for each
 */
export function tableWeights(exact: readonly number[], highest: number): number[] {
  if (exact.every((weight) => Number.isInteger(weight) && weight <= MAX_TABLE_WEIGHT)) {
    return [...exact];
  }
  const greatest = Math.max(highest, ...exact);
  const scale = Math.min(RESOLUTION, MAX_TABLE_WEIGHT / greatest);
  return exact.map((weight) =>
    weight > 0 ? Math.min(MAX_TABLE_WEIGHT, Math.max(1, Math.round(weight * scale))) : 0,
  );
}
