// docs/benchmarks.md, made from a result: nothing in it is typed by hand, and a test holds the committed
// document to the committed result. What was missed or not measured stands there as plainly as the rest.

import type { BenchResult } from '../result.ts';
import { methodOf } from './methods.ts';
import { type Picture, picturesOf } from './pictures.ts';
import { groupBy, type Table, tablesOf } from './summary.ts';
import { aimVerdict, wrapText } from './terminal.ts';
import { contenderLabel, duration, figure, wholeNumber } from './words.ts';

/** Where the document finds its pictures, seen from docs/. */
const PICTURE_FOLDER = 'pictures';
const COLUMNS = 120;
const LAST_UPDATE_COMMAND =
  'node dist/bench/side-by-side/report/main.js bench/results/reference.json --write';

/** A cell of a table: without line breaks and bars, which would end it. */
function cell(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll('|', '\\|').replaceAll('<', '&lt;').trim();
}

function row(cells: readonly string[]): string {
  return `| ${cells.map(cell).join(' | ')} |`;
}

function paragraph(text: string): string[] {
  return [...wrapText(text, '', COLUMNS), ''];
}

function tableLines(table: Table, rounds: number): string[] {
  const { rows, reference, measure, unit, better, conditionText: under } = table;
  const hasCondition = rows.some(({ conditionText }) => conditionText !== '');
  const hasRounds = rows.some((each) => each.rounds !== rounds);
  const head = [
    ...(hasCondition ? ['under'] : []),
    'contender',
    'median',
    'min … max',
    ...(hasRounds ? ['rounds'] : []),
    ...(reference === undefined ? [] : [`× ${contenderLabel(reference)}`]),
  ];
  const aligned = head.map((title) => (/^(under|contender)$/.test(title) ? '---' : '---:'));
  const body = rows.map((each, i) => {
    const isRepeated = i > 0 && each.conditionText === rows[i - 1].conditionText;
    const isOurs = each.contender.startsWith('weir') || each.contender === 'filter';
    const label = contenderLabel(each.contender);
    return row([
      ...(hasCondition ? [isRepeated ? '' : each.conditionText] : []),
      isOurs ? `**${label}**` : label,
      figure(each.median),
      each.rounds > 1 ? `${figure(each.min)} … ${figure(each.max)}` : '–',
      ...(hasRounds ? [String(each.rounds)] : []),
      ...(reference === undefined ? [] : [each.ratio === undefined ? '–' : each.ratio.toFixed(2)]),
    ]);
  });
  const name = `${measure}${under === '' ? '' : `, ${under}`}`;
  return [
    `**${cell(name)}** (${cell(unit)}, ${better} is better)`,
    '',
    row(head),
    `|${aligned.join('|')}|`,
    ...body,
    '',
  ];
}

function partLines(part: string, tables: readonly Table[], result: BenchResult): string[] {
  const { heading, paragraphs } = methodOf(part);
  const missing = result.missing.filter((each) => each.part === part);
  return [
    `## ${heading}`,
    '',
    ...paragraphs.flatMap(paragraph),
    ...picturesOf(result)
      .filter((each) => each.part === part)
      .flatMap(pictureLines),
    ...tables.flatMap((table) => tableLines(table, result.rounds)),
    ...(missing.length === 0
      ? []
      : paragraph(`Not measured: ${missing.map(missingText).join('; ')}.`)),
  ];
}

function missingText({ contender, reason }: BenchResult['missing'][number]): string {
  return cell(`${contenderLabel(contender)} (${reason})`);
}

function pictureLines({ title, file }: Picture): string[] {
  return [`![${title}](${PICTURE_FOLDER}/${file})`, ''];
}

function aimLines({ aims }: BenchResult): string[] {
  if (aims.length === 0) return [];
  const rows = aims.map((aim) => {
    const verdict = aimVerdict(aim);
    const shown = verdict === 'missed' ? '**missed**' : verdict;
    return row([aim.aim, aim.found === '' ? '–' : aim.found, shown, aim.reason ?? '']);
  });
  return ['## Aims', '', row(['aim', 'found', 'verdict', 'why']), '|---|---|---|---|', ...rows, ''];
}

function machineLines({ machine, ...result }: BenchResult): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const rows: [string, string][] = [
    ['machine', machine.isVirtual ? 'a virtual machine' : 'hardware'],
    ['CPUs', `${machine.cpus} × ${machine.cpu}`],
    ['memory', `${figure(machine.memoryGiB)} GiB`],
    ['system', `${machine.distribution}, Linux ${machine.kernel}, Node ${machine.node}`],
    ['interfaces', machine.drivers],
    ['others', versions.join(', ')],
    ['taken away by the hypervisor', `${figure(machine.stealPercent)} % of the CPU time`],
    ['run', `${result.startedAt}, ${duration(result.seconds)}, ${countOf(result.rounds, 'round')}`],
    ['tree', result.revision === '' ? 'unknown' : result.revision],
  ];
  return [
    '## The machine',
    '',
    row(['what', 'which']),
    '|---|---|',
    ...rows.filter(([, value]) => value !== '').map(row),
    '',
  ];
}

function countOf(count: number, noun: string): string {
  return `${wholeNumber(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function introduction(result: BenchResult): string[] {
  const { machine, rounds, isQuick } = result;
  const kind = machine.isVirtual ? 'a virtual machine' : 'one machine';
  return [
    '# Benchmarks',
    '',
    '<!-- Made from bench/results/reference.json; edit nothing here. To make it anew:',
    `     ${LAST_UPDATE_COMMAND} -->`,
    '',
    ...paragraph(
      `weir beside others that do its work, all in one run on ${kind} with ${countOf(machine.cpus, 'CPU')}: ` +
        'clients, switch and servers are network namespaces, joined by veth cables. Contenders take turns ' +
        `within each of the ${countOf(rounds, 'round')}, beginning with another one each time; a figure is ` +
        'the median of the rounds, with the lowest and the highest beside it. Read ratios rather than ' +
        'absolutes: network cards, other CPUs and other kernels give other figures, and none of that was ' +
        'measured here.',
    ),
    ...(isQuick
      ? paragraph('This was a quick run (`--quick`): short trials, good for a first look only.')
      : []),
  ];
}

function repeatLines({ command }: BenchResult): string[] {
  return [
    '## To repeat it',
    '',
    '```sh',
    'npm run bench                # everything, as root; installs what it compares with (Debian)',
    'npm run bench -- --quick     # a trial in less than three minutes',
    'npm run bench -- --help      # single parts, contenders, rounds',
    '```',
    '',
    ...paragraph(
      `This document was made from \`bench/results/reference.json\`, which \`${command}\` wrote. Any result ` +
        'becomes tables and pictures again with',
    ),
    '```sh',
    'npm run build',
    'node dist/bench/side-by-side/report/main.js bench/results/reference.json',
    '```',
    '',
  ];
}

/** Parts of which nothing at all could be measured. */
function missingPartLines({ series, missing }: BenchResult): string[] {
  const measured = new Set(series.map(({ part }) => part));
  const gone = missing.filter(({ part }) => !measured.has(part));
  if (gone.length === 0) return [];
  const rows = gone.map(({ part, contender, reason }) => {
    return row([methodOf(part).heading, contenderLabel(contender), reason]);
  });
  return ['## Not measured', '', row(['part', 'contender', 'why']), '|---|---|---|', ...rows, ''];
}

/** The whole document as Markdown. Depends on the result alone. */
export function benchmarkDocument(result: BenchResult): string {
  const parts = groupBy(tablesOf(result), ({ part }) => part);
  const lines = [
    ...introduction(result),
    ...aimLines(result),
    ...parts.flatMap((tables) => partLines(tables[0].part, tables, result)),
    ...missingPartLines(result),
    ...machineLines(result),
    ...repeatLines(result),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}
