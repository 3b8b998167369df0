// The program's source as text, for the tests that hold its structure and its documents to it: files,
// imports, functions. By regular expressions on code that biome has formatted (an opening brace ends
// its line, the closing one stands in the column of the function's first line), so no parser is needed
// and none is pretended: what is not formatted so is not found.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Top folder of the repository. */
export const TOP = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Text of a file, by its path from the top. */
export function readText(path: string): string {
  return readFileSync(join(TOP, path), 'utf8');
}

/** Paths from the top of all files below a folder that end in one of `endings`, sorted. */
export function filesBelow(folder: string, ...endings: string[]): string[] {
  return readdirSync(join(TOP, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(TOP, join(entry.parentPath, entry.name)))
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .sort();
}

/** Tests, contract suites and what only they use. */
export function isTestFile(path: string): boolean {
  return /\.(test|suite|harness)\.ts$/.test(path);
}

/** What a file imports: paths from the top for its own files, names for packages. */
export function importsOf(path: string, text = readText(path)): string[] {
  const found: string[] = [];
  const pattern = /(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'([^']+)'/gm;
  for (const [, name] of text.matchAll(pattern)) {
    found.push(name.startsWith('.') ? posix.join(posix.dirname(path), name) : name);
  }
  return found;
}

export interface SourceFunction {
  readonly file: string;
  readonly name: string;
  /** Counted from 1: where its declaration begins. */
  readonly line: number;
  /** Lines from its declaration to its closing brace. */
  readonly length: number;
}

const DECLARATION =
  /^( *)(?:export )?(?:default )?(?:(?:private|protected|static|override|async|get|set|function\*?) )*(#?\w+)(?:<[^(]*>)?\(/;
const NO_FUNCTION = new Set(['if', 'for', 'while', 'switch', 'catch', 'return', 'super', 'await']);

/** Functions and methods with a body; not those inside of others. */
export function functionsOf(file: string, text = readText(file)): SourceFunction[] {
  const lines = text.split('\n');
  const found: SourceFunction[] = [];
  for (let start = 0; start < lines.length; start++) {
    const match = DECLARATION.exec(lines[start]);
    if (match === null || match[1].length > 2 || NO_FUNCTION.has(match[2])) continue;
    const [, indent, name] = match;
    // The end of the signature: on this line, or where the closing bracket stands in its column.
    let open = start;
    while (open < lines.length && !/[{;]$/.test(lines[open])) open++;
    const isSignature = open === start || lines[open]?.startsWith(`${indent})`);
    if (!isSignature || !lines[open].endsWith('{')) continue;
    let end = open + 1;
    while (end < lines.length && lines[end] !== `${indent}}`) end++;
    if (end === lines.length) continue;
    found.push({
      file,
      name,
      line: start + 1,
      length: end - start + 1,
    });
    if (indent === '') start = end;
  }
  return found;
}

/** Code without its comments, and with the insides of quoted texts left out. */
export function withoutComments(code: string): string {
  return code
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")
    .replace(/\/\/.*$/gm, '');
}
