// The order in which contenders take their turns. Each round begins with another one, so that none
// always has the cold or the warm machine, and none always comes after the same neighbor's mess.

/** `items` from the round's own beginning on; rounds count from 0. */
export function rotated<Item>(items: readonly Item[], round: number): Item[] {
  if (items.length === 0) return [];
  const from = round % items.length;
  return [...items.slice(from), ...items.slice(0, from)];
}
