// Shows faults of a configuration file: for people as a compiler does, with the line and a caret
// under the place, and for programs as JSON.
//
//   weir.yaml:12:11: error: services[0].port: 99999 is more than 65535
//     12 |     port: 99999
//        |           ^
//        = hint: …

import type { Fault } from './faults.ts';

export type Severity = 'error' | 'warning';

const WIDEST_LINE = 120;
/** How much of an over-long line stands before the caret. */
const BEFORE_CARET = 60;

/**
 * Terminal text for faults of one file, each ended by a newline.
 *
 * @param text the whole file, as it was parsed
 */
export function formatFaults(
  faults: readonly Fault[],
  text: string,
  severity: Severity = 'error',
): string {
  const lines = text.split(/\r?\n/);
  return faults.map((fault) => formatFault(fault, lines, severity)).join('');
}

/** The same as JSON: {"errors": [...], "warnings": [...]}, one line. */
export function faultsToJson(faults: readonly Fault[], warnings: readonly Fault[]): string {
  return JSON.stringify({ errors: faults, warnings });
}

function formatFault(fault: Fault, lines: readonly string[], severity: Severity): string {
  const { file, line, column, path, message, suggestion } = fault;
  const subject = path === '' ? '' : `${path}: `;
  let shown = `${file}:${line}:${column}: ${severity}: ${printable(subject + message)}\n`;
  const number = String(line).padStart(5);
  const margin = ' '.repeat(number.length);
  const source = lines[line - 1] ?? '';
  if (source.trim() !== '') {
    const start = source.length > WIDEST_LINE ? Math.max(0, column - 1 - BEFORE_CARET) : 0;
    const part = source.slice(start, start + WIDEST_LINE);
    // A tab before the caret stays a tab, so that both lines are indented alike.
    const indent = part.slice(0, column - 1 - start).replace(/[^\t]/g, ' ');
    shown += `${number} | ${printable(part)}\n${margin} | ${indent}^\n`;
  }
  if (suggestion !== '') shown += `${margin} = hint: ${printable(suggestion)}\n`;
  return shown;
}

/** A file must not be able to send control sequences to the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, '\u00b7');
}
