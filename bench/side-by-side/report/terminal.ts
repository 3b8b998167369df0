// The report on the terminal: a table for each measure, aligned, within 80 columns where names allow
// it. Colour only helps the eye (our rows, the reference, aims); nothing is said by colour alone.

import type { Aim, BenchResult } from '../result.ts';
import { groupBy, type Row, type Table, tablesOf, tableTitle } from './summary.ts';
import { contenderLabel, duration, figure, wholeNumber } from './words.ts';

const BOLD = '1';
const DIM = '2';
const GREEN = '32';
const RED = '31';
const YELLOW = '33';
const CYAN = '36';
/** Lines of prose are broken here. */
const WRAP_COLUMNS = 80;

type Paint = (code: string, text: string) => string;

export interface TerminalOptions {
  /** Default: when standard output is a terminal and NO_COLOR is not set. */
  readonly colour?: boolean;
}

function defaultColour(): boolean {
  const { NO_COLOR } = process.env;
  return process.stdout.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '');
}

interface Column {
  readonly title: string;
  readonly alignRight: boolean;
  cell(row: Row): string;
}

function columnsOf({ rows, reference }: Table, rounds: number): Column[] {
  const columns: Column[] = [
    { title: 'contender', alignRight: false, cell: ({ contender }) => contenderLabel(contender) },
    { title: 'median', alignRight: true, cell: ({ median }) => figure(median) },
    {
      title: 'min … max',
      alignRight: true,
      cell: ({ min, max, rounds: count }) => (count > 1 ? `${figure(min)} … ${figure(max)}` : '–'),
    },
  ];
  // The heading of the whole tells how many there are, if all were measured.
  if (rows.some((row) => row.rounds !== rounds)) {
    columns.push({ title: 'rounds', alignRight: true, cell: (row) => String(row.rounds) });
  }
  if (reference !== undefined) {
    columns.push({
      title: `× ${contenderLabel(reference)}`,
      alignRight: true,
      cell: ({ ratio }) => (ratio === undefined ? '–' : ratio.toFixed(2)),
    });
  }
  if (rows.some(({ conditionText }) => conditionText !== '')) {
    columns.unshift({ title: '', alignRight: false, cell: ({ conditionText }) => conditionText });
  }
  return columns;
}

function padded(text: string, width: number, alignRight: boolean): string {
  return alignRight ? text.padStart(width) : text.padEnd(width);
}

function tableLines(table: Table, rounds: number, paint: Paint): string[] {
  const columns = columnsOf(table, rounds);
  const cells = table.rows.map((row) => columns.map((column) => column.cell(row)));
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...cells.map((each) => each[i].length)),
  );
  const line = (texts: readonly string[]): string =>
    `    ${texts.map((text, i) => padded(text, widths[i], columns[i].alignRight)).join('  ')}`;
  const hasCondition = columns[0].title === '';
  const body = table.rows.map(({ contender }, i) => {
    // A condition stands once, at the first of its rows.
    const isRepeated = hasCondition && i > 0 && cells[i][0] === cells[i - 1][0];
    const text = line(isRepeated ? ['', ...cells[i].slice(1)] : cells[i]).trimEnd();
    if (contender.startsWith('weir') || contender === 'filter') return paint(CYAN, text);
    return contender === table.reference ? paint(BOLD, text) : text;
  });
  return [
    `  ${paint(BOLD, tableTitle(table))}`,
    paint(DIM, line(columns.map(({ title }) => title)).trimEnd()),
    ...body,
    '',
  ];
}

/** Breaks a text into lines, the second and later ones indented. */
export function wrapText(text: string, indent: string, columns = WRAP_COLUMNS): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=\S)\s+/)) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

export function aimVerdict({ isMet }: Aim): 'met' | 'missed' | 'not measured' {
  if (isMet === undefined) return 'not measured';
  return isMet ? 'met' : 'missed';
}

function aimLines(aim: Aim, paint: Paint): string[] {
  const verdict = aimVerdict(aim);
  const colour = { met: GREEN, missed: RED, 'not measured': YELLOW }[verdict];
  const reason = aim.reason === undefined ? '' : ` (${aim.reason})`;
  const found = aim.found === '' ? '' : `: ${aim.found}`;
  const indent = ' '.repeat(16);
  const [first, ...rest] = wrapText(`${aim.aim}${found}${reason}`, '', WRAP_COLUMNS - 16);
  return [
    `  ${paint(colour, verdict.padEnd(12))}  ${first}`,
    ...rest.map((line) => `${indent}${line.trimStart()}`),
  ];
}

function headLines({ machine, ...result }: BenchResult, paint: Paint): string[] {
  const { cpu, cpus, memoryGiB, isVirtual, kernel, distribution, node, drivers } = machine;
  const kind = isVirtual ? 'virtual machine' : 'machine';
  const rounds = `${result.rounds} round${result.rounds === 1 ? '' : 's'}`;
  const texts = [
    `${kind}: ${cpus} × ${cpu}, ${figure(memoryGiB)} GiB, ${distribution}, Linux ${kernel}, Node ${node}`,
    `interfaces: ${drivers}; CPU time taken by the hypervisor: ${figure(machine.stealPercent)} %`,
    `${rounds} in ${duration(result.seconds)}, ${result.startedAt}, ${result.revision}`,
  ];
  const title = `weir benchmarks${result.isQuick ? ', quick: read them as a trial' : ''}`;
  return [paint(BOLD, title), ...texts.flatMap((text) => wrapText(text, '  ')), ''];
}

/**
 * The whole result as text for a terminal.
 * @returns lines that end with a line feed
 */
export function terminalReport(result: BenchResult, options: TerminalOptions = {}): string {
  const isColoured = options.colour ?? defaultColour();
  const paint: Paint = (code, text) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text);
  const lines = headLines(result, paint);
  for (const tables of groupBy(tablesOf(result), ({ part }) => part)) {
    lines.push(paint(BOLD, `── ${tables[0].part} ${'─'.repeat(40)}`.slice(0, 44)), '');
    lines.push(...tables.flatMap((table) => tableLines(table, result.rounds, paint)));
  }
  if (result.aims.length > 0) {
    lines.push(paint(BOLD, 'Aims'), ...result.aims.flatMap((aim) => aimLines(aim, paint)), '');
  }
  if (result.missing.length > 0) {
    lines.push(paint(BOLD, `Not measured (${wholeNumber(result.missing.length)})`));
    for (const { part, contender, reason } of result.missing) {
      lines.push(...wrapText(`  ${part}, ${contenderLabel(contender)}: ${reason}`, '    '));
    }
    lines.push('');
  }
  return `${lines.join('\n')}\n`;
}
