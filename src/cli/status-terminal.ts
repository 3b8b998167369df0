// What a page in the terminal is made of: colours (or none), aligned tables, bars, numbers for people.
// Pure: text in, text out, so that pages are tested without a terminal.
// Names that come from outside go through `printable` before they go to a terminal.

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

function sequence(code: number, end: number): (text: string) => string {
  return (text) => (text === '' ? '' : `\u001b[${code}m${text}\u001b[${end}m`);
}

const COLORS: Paint = {
  bold: sequence(1, 22),
  dim: sequence(2, 22),
  red: sequence(31, 39),
  green: sequence(32, 39),
  yellow: sequence(33, 39),
  cyan: sequence(36, 39),
};

const same = (text: string): string => text;
const PLAIN: Paint = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

export function paint(colors: boolean): Paint {
  return colors ? COLORS : PLAIN;
}

/** Whether a stream shows colours: a terminal, unless NO_COLOR (https://no-color.org) forbids it. */
export function showsColors(stream: { isTTY?: boolean }, environment = process.env): boolean {
  const forbidden = environment.NO_COLOR !== undefined && environment.NO_COLOR !== '';
  return stream.isTTY === true && !forbidden && environment.TERM !== 'dumb';
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const COLOR_SEQUENCE = /\u001b\[[0-9;]*m/g;

/** Columns that a text takes up. */
export function visibleWidth(text: string): number {
  return text.replace(COLOR_SEQUENCE, '').length;
}

/** The text, filled up with spaces; to the left of it when `align` is 'right'. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, width - visibleWidth(text)));
  return align === 'left' ? text + space : space + text;
}

export interface Column {
  readonly title: string;
  /** Default 'left'; numbers stand to the right. */
  readonly align?: 'left' | 'right';
}

/** Lines of a table: titles, then rows; every column is as wide as its widest cell. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  colors: Paint,
  indent = '  ',
): string[] {
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map((row) => visibleWidth(row[i]))),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, i) => pad(cell, widths[i], columns[i].align));
    return (indent + padded.join('  ')).trimEnd();
  };
  const titles = line(columns.map(({ title }) => title));
  return [colors.dim(titles), ...rows.map(line)];
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar for a part (0 to 1) of a whole, exact to an eighth of a column. */
export function bar(part: number, width: number, colors: Paint): string {
  const eighths = Math.round(Math.min(1, Math.max(0, part)) * width * 8);
  const filled = '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
  return colors.cyan(filled) + colors.dim('░'.repeat(width - filled.length));
}

/** 1,234,567 */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** 1 fault, 2 faults, 0 faults */
export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** 999 B, 1.0 kB, 12.3 MB: powers of 1000. */
export function bytes(value: number): string {
  let unit = 0;
  let left = value;
  while (left >= 999.95 && unit < BYTE_UNITS.length - 1) {
    left /= 1000;
    unit++;
  }
  return `${unit === 0 ? left : left.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** 33.3 % */
export function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

/** 850 ms, 12 s, 3 min 5 s, 2 h 7 min, 4 d 1 h. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Names of interfaces may hold anything: none may send control sequences to the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\u00b7');
}
