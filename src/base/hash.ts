// Hash functions of int32 words. Used by the connection table's index, by Maglev tables and to give
// neighbors their slots. The results are part of what several machines must agree on (Maglev), so a
// change here is a change of behaviour: hash.test.ts holds golden values.

/** Mixes one int32 word into a running int32 hash (the step of MurmurHash3, 32 bit). @hot */
export function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  k = Math.imul(k, 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Spreads the entropy of a mixed hash over all 32 bits (MurmurHash3's finalizer). @hot */
export function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}

/** Hash of a text, for names (not for packets). */
export function hashText(text: string, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < text.length; i++) h = mix(h, text.charCodeAt(i));
  return finish(h ^ text.length);
}
