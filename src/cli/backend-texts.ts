// How a backend's state, weight, health, report and connections are worded and coloured, for the pages of
// `weir backends`, `weir why` and for what `weir drain` and `weir weight` answer. Pure.
// Texts of servers and operators go through `printable`.

import type {
  BackendView,
  DrainView,
  HealthView,
  ReportView,
  RuntimeChange,
} from '../control/backend-view.ts';
import {
  count,
  duration,
  type Paint,
  percent,
  printable,
  visibleWidth,
} from './status-terminal.ts';

/** '● up', in its colour. */
export function stateText({ state }: BackendView, colors: Paint): string {
  switch (state) {
    case 'up':
      return colors.green('● up');
    case 'down':
      return colors.red('● down');
    case 'drained':
      return colors.cyan('○ drained');
    default:
      return colors.yellow(`◐ ${state}`);
  }
}

/** At most three digits behind the point: 1, 0.62, 12.5. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1000) return count(value);
  return String(Number(value.toPrecision(3)));
}

/** '1' where nothing is at work, else '1 → 0.62'. */
export function weightText({ weight }: BackendView): string {
  const now = figure(weight.now);
  const configured = figure(weight.configured);
  if (weight.operator === null) return configured === now ? now : `${configured} → ${now}`;
  const operator = `${figure(weight.operator)}*`;
  return figure(weight.operator) === now ? `${configured} → ${operator}` : `${operator} → ${now}`;
}

/** What a report's figures are called, and how they are written. */
const FIGURES: Readonly<
  Record<string, readonly [name: string, kind: 'part' | 'rate' | 'ms' | 'count']>
> = {
  applicationUtilization: ['application', 'part'],
  cpuUtilization: ['CPU', 'part'],
  memoryUtilization: ['memory', 'part'],
  cpuPressure: ['CPU pressure', 'part'],
  memoryPressure: ['memory pressure', 'part'],
  ioPressure: ['I/O pressure', 'part'],
  clients: ['clients', 'count'],
  connectionsPerSecond: ['connections', 'rate'],
  requestsPerSecond: ['requests', 'rate'],
  errorsPerSecond: ['errors', 'rate'],
  executionTimeMs: ['execution time', 'ms'],
};

function figureText(name: string, value: number): string {
  const [title, kind] = FIGURES[name] ?? [printable(name), 'count'];
  if (kind === 'part') return `${title} ${Math.round(value * 100)} %`;
  if (kind === 'rate') return `${title} ${figure(value)}/s`;
  return `${title} ${figure(value)}${kind === 'ms' ? ' ms' : ''}`;
}

/** All figures of a report, the best known first: 'CPU 87 %, clients 12'. */
export function figuresText({ figures }: ReportView): string {
  const order = Object.keys(FIGURES);
  const names = Object.keys(figures).sort((a, b) => order.indexOf(a) - order.indexOf(b));
  const texts = names.map((name) => figureText(name, figures[name]));
  return texts.length === 0 ? 'no figures' : texts.join(', ');
}

/** The one figure or wish that tells most, and its age: 'CPU 87 %, 1 s'. */
export function reportText(report: ReportView | null): string {
  if (report === null) return '–';
  const name = ['applicationUtilization', 'cpuUtilization'].find((each) => each in report.figures);
  const short = name === undefined ? '' : figureText(name, report.figures[name]);
  const first = Object.keys(report.figures).length === 0 ? wishText(report) : figuresText(report);
  const told = short === '' ? first.split(', ')[0] || 'no figures' : short;
  return `${told.replace('application', 'app')}, ${duration(report.ageMs)}`;
}

/** What the server asks for: 'weight 50 %, drain'. */
export function wishText({ wish }: ReportView): string {
  if (wish === undefined) return '';
  const titles: Readonly<Record<string, (value: string) => string>> = {
    weightPercent: (value) => `${value} % of its weight`,
    weight: (value) => `weight ${value}`,
    administrative: (value) => value,
    operational: (value) => value,
    reason: (value) => `reason: ${value}`,
    connectionLimit: (value) => `at most ${value} connections`,
  };
  return Object.entries(wish)
    .map(([name, value]) => (titles[name] ?? ((text) => `${name} ${text}`))(String(value)))
    .map(printable)
    .join(', ');
}

/** 'up for 12 min: 200 in 3 ms'. */
export function healthText(health: HealthView): string {
  const cause = health.cause === '' ? '' : `: ${printable(health.cause)}`;
  const held =
    health.heldForMs === null ? '' : `; held for ${duration(health.heldForMs)}, it flapped`;
  return `${health.status} for ${duration(health.sinceMs)}${cause}${held}`;
}

/** '12', or '12 of 500'. */
export function connectionsText({ connections }: BackendView): string {
  const open = count(connections.open);
  return connections.limit === null ? open : `${open} of ${count(connections.limit)}`;
}

/** '65.0 % done: 14 TCP connections left, 26 gone; …', or 'drained, …'. */
export function drainText(drain: DrainView): string {
  const text = printable(drain.text);
  if (drain.state === 'drained') return text;
  return `${percent(drain.progress)} done: ${text.replace(/^draining: /, '')}`;
}

/** What is known of the connections that it waits for: '12 established, 2 close-wait; …'. */
export function waitingText({ waitingFor }: DrainView): string {
  const { states, idlestMs, oldestMs } = waitingFor;
  const counted = Object.entries(states ?? {}).filter(([, number]) => number > 0);
  const parts = [counted.map(([name, number]) => `${count(number)} ${printable(name)}`).join(', ')];
  if (idlestMs !== null) parts.push(`idle for up to ${duration(idlestMs)}`);
  if (oldestMs !== null) parts.push(`the oldest began ${duration(oldestMs)} ago`);
  return parts.filter((part) => part !== '').join('; ');
}

export function changeText({ text, by, at, isConfigured }: RuntimeChange): string {
  const where = isConfigured ? '' : ' (not configured now)';
  return `${printable(text)}${where}, by ${printable(by)} at ${at.replace(/\.\d+Z$/, 'Z')}`;
}

/** Words in lines of at most `width` columns, each behind the indent; a longer word has its own line. */
export function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && visibleWidth(indent + longer) > width) {
      lines.push(indent + line);
      line = word;
    } else line = longer;
  }
  if (line !== '') lines.push(indent + line);
  return lines;
}

/** Cut to a width, with an ellipsis; for names, which may be 63 letters long. */
export function shortened(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
