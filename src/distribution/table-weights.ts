// From exact weights to the integers of the configuration table. All backends of a service are
// multiplied by one factor, so that a weight that feedback moved by 1 % still differs from one that
// it did not; whoever takes connections has at least 1.
//
// Invariant: integers from 0 to 65535. Without feedback, and when no weight needs the resolution, they
// are the exact weights themselves: a static service has in its table what its file says.

/** The greatest weight that a table holds. */
export const MAX_TABLE_WEIGHT = 65_535;

/** 1 % of a weight of 1 is one unit. */
const RESOLUTION = 100;

export interface TableEntry {
  readonly isTaking: boolean;
  /** In units of configured weights, finite; not looked at when it takes nothing. */
  readonly exact: number;
}

/**
 * @param highest what a weight may rise to by feedback: the factor does not change when one does
 * @param mayBePlain whether integers are to stay as they are
 * @returns one integer for each
 */
export function tableWeights(
  entries: readonly TableEntry[],
  highest: number,
  mayBePlain: boolean,
): number[] {
  const exact = entries.map((entry) => (entry.isTaking ? entry.exact : 0));
  const greatest = Math.max(highest, ...exact);
  // Who is to get less than 1 needs the resolution: 1 would be too much.
  const isPlain =
    mayBePlain &&
    entries.every((each) => !each.isTaking || (each.exact >= 1 && Number.isInteger(each.exact)));
  const scale = isPlain ? 1 : Math.min(RESOLUTION, MAX_TABLE_WEIGHT / greatest);
  return entries.map(({ isTaking }, i) =>
    isTaking ? Math.min(MAX_TABLE_WEIGHT, Math.max(1, Math.round(exact[i] * scale))) : 0,
  );
}
