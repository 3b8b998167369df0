// The page of `weir backends`: from the views of the control processor to text, for a terminal of 80 to 120
// columns. Pure. Each service is a table; below a backend's row stand its health and why it has its
// weight, and how far its drain is. What operators changed at run time ends the page.

import type { BackendsView, BackendView } from '../control/backend-view.ts';
import {
  changeText,
  connectionsText,
  drainText,
  figure,
  healthText,
  reportText,
  shortened,
  stateText,
  weightText,
  wrap,
} from './backend-texts.ts';
import {
  bar,
  type Column,
  duration,
  type Paint,
  pad,
  percent,
  plural,
  printable,
  table,
  visibleWidth,
} from './status-terminal.ts';

/** Narrower terminals than this break the lines themselves. */
const LEAST_WIDTH = 80;
const NAME_WIDTH = 16;
/** A report as old as this is worth a look: sources report every second. */
const OLD_REPORT_MS = 10_000;
/** Below a row. */
const INDENT = '      ';

const COLUMNS: readonly Column[] = [
  { title: 'BACKEND' },
  { title: 'STATE' },
  { title: 'WEIGHT' },
  { title: 'SHARE', align: 'right' },
  { title: '' },
  { title: 'OPEN', align: 'right' },
  { title: 'NEW/S', align: 'right' },
  { title: 'REPORT' },
];

/** The whole page, ended by a newline. `width`: columns of the terminal. */
export function renderBackends(view: BackendsView, width: number, colors: Paint): string {
  const services = [...new Set(view.backends.map(({ service }) => service))];
  const columns = Math.max(LEAST_WIDTH, width);
  const parts = services.map((service) =>
    serviceLines(
      service,
      view.backends.filter((each) => each.service === service),
      columns,
      colors,
    ),
  );
  if (services.length === 0) parts.push(['no backends: there is no configuration in force yet']);
  const changes = changeLines(view, colors);
  if (changes.length > 0) parts.push(changes);
  return `${parts.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function serviceLines(
  service: string,
  backends: readonly BackendView[],
  width: number,
  colors: Paint,
): string[] {
  const up = backends.filter(({ state }) => state === 'up').length;
  const summary = `${backends[0].protocol}  ${up} of ${plural(backends.length, 'backend')} up`;
  const head = `${colors.bold(printable(service))}  ${colors.dim(summary)}`;
  // A bar takes what the other columns leave.
  const bare = table(
    COLUMNS,
    backends.map((each) => row(each, 0, colors)),
    colors,
  );
  const used = Math.max(...bare.map(visibleWidth));
  const barWidth = Math.min(16, Math.max(4, width - used));
  const rows = backends.map((each) => row(each, barWidth, colors));
  const [titles, ...lines] = table(COLUMNS, rows, colors);
  const all = lines.flatMap((line, i) => [line, ...below(backends[i], width, colors)]);
  const note = backends.some(({ weight }) => weight.operator !== null)
    ? [colors.dim('  * set by an operator at run time')]
    : [];
  return [head, titles, ...all, ...note];
}

function row(backend: BackendView, barWidth: number, colors: Paint): string[] {
  const { weight, rates, report } = backend;
  const name = shortened(printable(backend.name), NAME_WIDTH);
  const isOld = report !== null && report.ageMs >= OLD_REPORT_MS;
  return [
    backend.isFallback ? `${name} ${colors.dim('(fallback)')}` : name,
    stateText(backend, colors),
    weightText(backend),
    percent(weight.share),
    bar(weight.share, barWidth, colors),
    connectionsText(backend),
    figure(rates.connectionsPerSecond),
    isOld ? colors.yellow(reportText(report)) : reportText(report),
  ];
}

/** What stands below a row: drain, health, why. */
function below(backend: BackendView, width: number, colors: Paint): string[] {
  const { drain, health } = backend;
  const lines: string[] = [];
  const add = (title: string, text: string, paint: (line: string) => string): void => {
    const wrapped = wrap(`${title}${text}`, width, INDENT);
    lines.push(...wrapped.map(paint));
  };
  if (drain !== null) add('drain: ', drainText(drain), colors.yellow);
  if (health !== null) {
    add('health: ', healthText(health), health.status === 'up' ? colors.dim : colors.red);
  }
  if (backend.why !== '') add('why: ', printable(backend.why), colors.dim);
  return lines;
}

function changeLines({ changes }: BackendsView, colors: Paint): string[] {
  if (changes.length === 0) return [];
  const keys = changes.map(({ service, backend }) => printable(`${service}/${backend}`));
  const width = Math.max(...keys.map((key) => key.length));
  return [
    colors.bold('changed at run time, not in the file'),
    ...changes.map((change, i) => `  ${pad(keys[i], width)}  ${changeText(change)}`),
  ];
}

/** One line on a drain under way, for `weir drain --wait`: a bar, how much, what it waits for. */
export function drainLine(name: string, backend: BackendView, colors: Paint): string {
  const { drain } = backend;
  if (drain === null) return `${printable(name)}: not drained`;
  const since = duration(drain.forMs);
  return `${printable(name)} ${bar(drain.progress, 20, colors)} ${since}: ${drainText(drain)}`;
}
