// "Did you mean …": the known word nearest to one that was written. Used for keys, for enumerated
// values and for names of interfaces in a configuration file.
//
// Distance: insertions, deletions, substitutions and transpositions of neighboring letters
// ("optimal string alignment"); a word may be wrong in about a third of its letters.

/** The nearest of `candidates`, or undefined when none is near enough to be what was meant. */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  const written = normalize(word);
  // Anything longer is not a slip of the fingers, and the distance takes time in proportion.
  if (written.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(written.length / 3)) + 1;
  for (const candidate of candidates) {
    const found = editDistance(written, normalize(candidate));
    if (found < bestDistance) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best;
}

/** Capitals, underscores and spaces are the commonest slips and cost nothing. */
function normalize(word: string): string {
  return word.trim().toLowerCase().replace(/[_\s]/g, '-');
}

function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let distance = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) distance = Math.min(distance, beforeLast[j - 2] + 1);
      row.push(distance);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length];
}
