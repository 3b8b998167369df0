// The page of `weir apps`: from the views of the control processor to text, for a terminal. Pure. One row
// for each application, below it what it counts itself and, where it does not run, why. What comes from an
// application (names of counters, what it has thrown) goes through `printable`.

import type { ApplicationOnProcessor, ApplicationView } from '../control/application-view.ts';
import { type Column, type Paint, plural, printable, table } from './status-terminal.ts';

const COLUMNS: readonly Column[] = [
  { title: 'APPLICATION' },
  { title: 'STATE' },
  { title: 'PACKETS', align: 'right' },
  { title: 'PASSED', align: 'right' },
  { title: 'REPLIED', align: 'right' },
  { title: 'FORWARDED', align: 'right' },
  { title: 'CONSUMED', align: 'right' },
  { title: 'DROPPED', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'µs/PACKET', align: 'right' },
  { title: 'LONGEST/BUDGET', align: 'right' },
];

/** The whole page, ended by a newline. */
export function renderApplications(views: readonly ApplicationView[], colors: Paint): string {
  if (views.length === 0) return 'no applications: see docs/guides/network-applications.md\n';
  const [titles, ...rows] = table(
    COLUMNS,
    views.map((view) => row(view, colors)),
    colors,
  );
  const lines = rows.flatMap((line, i) => [line, ...below(views[i], colors)]);
  return `${[titles, ...lines].join('\n')}\n`;
}

function row(view: ApplicationView, colors: Paint): string[] {
  const { totals } = view;
  const each = totals.packets === 0 ? 0 : totals.busyMicroseconds / totals.packets;
  const longest = Math.max(...view.processors.map((one) => one.longestMicroseconds));
  return [
    colors.bold(printable(view.name)),
    view.state === 'running' ? colors.green(view.state) : colors.red(view.state),
    ...[totals.packets, totals.passed, totals.replied, totals.forwarded].map(String),
    ...[totals.consumed, totals.dropped, totals.failed].map(String),
    each.toFixed(2),
    `${milliseconds(longest)}/${milliseconds(view.budgetMicroseconds)} ms`,
  ];
}

function milliseconds(microseconds: number): string {
  return String(Math.round(microseconds / 10) / 100);
}

function below(view: ApplicationView, colors: Paint): string[] {
  const { totals } = view;
  const counters = Object.entries(totals.counters).map(([name, n]) => `${printable(name)} ${n}`);
  if (totals.sent > 0) counters.unshift(`${plural(totals.sent, 'packet')} of its own`);
  if (totals.framesInHand > 0) counters.unshift(`${plural(totals.framesInHand, 'frame')} in hand`);
  const lines = counters.length === 0 ? [] : [colors.dim(`    ${counters.join('  ')}`)];
  return [...lines, ...troubles(view).map((text) => `    ${colors.yellow(text)}`)];
}

function troubles(view: ApplicationView): string[] {
  const { totals } = view;
  const all = whyNotRunning(view);
  if (totals.exceptions + totals.overruns === 0) return all;
  const counts = `${plural(totals.exceptions, 'exception')}, ${plural(totals.overruns, 'overrun')}`;
  return [`${counts} so far`, ...all];
}

/** What is wrong with it, a line for all processors of which it is true. */
export function whyNotRunning({ processors }: ApplicationView): string[] {
  const lines = new Map<string, number[]>();
  for (const one of processors) {
    const text = trouble(one);
    if (text !== '') lines.set(text, [...(lines.get(text) ?? []), one.processor]);
  }
  return [...lines].map(([text, on]) => `switching ${on.join(', ')}: ${text}`);
}

function trouble({ state, lastError }: ApplicationOnProcessor): string {
  const why = lastError === '' ? '' : `: ${printable(lastError)}`;
  return state === 'running' ? why.slice(2) : `${state}${why}`;
}
