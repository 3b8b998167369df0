// Where the document and its pictures lie in the tree. Only a result that is committed as the reference
// belongs there; any other result is shown on the terminal.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { topFolder } from '../../../src/lab/command.ts';
import type { BenchResult } from '../result.ts';
import { benchmarkDocument } from './document.ts';
import { writePictures } from './pictures.ts';

/**
 * Writes docs/benchmarks.md and docs/pictures/bench-*.svg.
 * @returns the paths of all files written
 */
export function writeDocument(result: BenchResult, top = topFolder()): string[] {
  const pictures = writePictures(result, join(top, 'docs', 'pictures'));
  const path = join(top, 'docs', 'benchmarks.md');
  writeFileSync(path, benchmarkDocument(result));
  return [path, ...pictures];
}
