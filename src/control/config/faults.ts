// What is wrong with a configuration file, and where. A finding names its place by the path of keys
// ('services[0].backends[1].port'); with the parsed YAML document it becomes a fault, with the line
// and the column where the writer has to look.
//
// Invariant: every fault has a line and a column ≥ 1 in the file, also for what is missing: then it
// is the place of the nearest thing around it that is there.

import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type LineCounter,
  type Pair,
} from 'yaml';

export type Path = readonly (string | number)[];

/** Something wrong at a path; `onKey` when it is the key that is wrong, not its value. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  /** What to write instead; '' when there is nothing to propose. */
  readonly suggestion: string;
  readonly onKey?: boolean;
}

export interface Fault {
  readonly file: string;
  /** Both counted from 1. */
  readonly line: number;
  readonly column: number;
  /** Such as 'services[0].backends[1].port'; '' for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly suggestion: string;
}

/** 'services[0].backends[1].port' */
function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** The path with its indexes left out, 'services[].backends[].port': the same for all like it. */
export function placeText(path: Path): string {
  return pathText(path).replace(/\[[0-9]+\]/g, '[]');
}

/** The offset in the text of what stands at the path, or of the nearest thing around it. */
function offsetOf(document: Document, path: Path, onKey: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      offset = startOf(node) ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find(({ key }) => keyText(key) === String(step));
      if (pair === undefined) return offset;
      node = pair.value;
      const keyOffset = startOf(pair.key) ?? offset;
      const isLast = depth === path.length - 1;
      offset = (isLast && onKey) || isEmpty(pair) ? keyOffset : (startOf(node) ?? keyOffset);
    } else {
      return offset;
    }
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  const found = isPair(node) ? node.key : node;
  return isNode(found) ? found.range?.[0] : undefined;
}

function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

/** `key:` with nothing behind it has its value, a null, after the line: point at the key. */
function isEmpty(pair: Pair): boolean {
  return isScalar(pair.value) && pair.value.value === null && pair.value.source === '';
}

/** Gives a finding its line and column. */
export function locate(
  finding: Finding,
  file: string,
  document: Document,
  lines: LineCounter,
): Fault {
  const offset = offsetOf(document, finding.path, finding.onKey === true);
  const { message, suggestion } = finding;
  return { ...position(lines, offset), file, path: pathText(finding.path), message, suggestion };
}

/** Line and column, from 1, of an offset in the text. */
export function position(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

/** Orders faults as they stand in the file. */
export function inFileOrder(faults: readonly Fault[]): Fault[] {
  return [...faults].sort((a, b) => a.line - b.line || a.column - b.column);
}
