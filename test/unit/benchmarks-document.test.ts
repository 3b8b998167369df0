// Holds docs/benchmarks.md and its pictures to the committed result: what stands there is what the
// report makes of bench/results/reference.json, to the letter, so nobody edits a figure by hand.
// UPDATE_DOCUMENTS=1 writes them anew.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { benchmarkDocument } from '../../bench/side-by-side/report/document.ts';
import { picturesOf } from '../../bench/side-by-side/report/pictures.ts';
import { writeDocument } from '../../bench/side-by-side/report/write-document.ts';
import type { BenchResult } from '../../bench/side-by-side/result.ts';
import { filesBelow, readText, TOP } from '../support/source-text.ts';

const DOCUMENT = 'docs/benchmarks.md';
const REFERENCE = 'bench/results/reference.json';

describe(DOCUMENT, () => {
  const isThere = existsSync(join(TOP, REFERENCE));
  const reference = () => JSON.parse(readText(REFERENCE)) as BenchResult;
  if (isThere && process.env.UPDATE_DOCUMENTS !== undefined) writeDocument(reference());

  it('is there if, and only if, there is a result that it is made from', () => {
    expect(existsSync(join(TOP, DOCUMENT))).toBe(isThere);
  });

  it.skipIf(!isThere)('is what the result makes of it, the pictures too', () => {
    const result = reference();
    expect(readText(DOCUMENT)).toBe(benchmarkDocument(result));
    const pictures = picturesOf(result);
    for (const { file, svg } of pictures) expect(readText(`docs/pictures/${file}`), file).toBe(svg);
    const committed = filesBelow('docs/pictures', '.svg').filter((path) => /\/bench-/.test(path));
    expect(committed.sort()).toEqual(pictures.map(({ file }) => `docs/pictures/${file}`).sort());
  });
});
