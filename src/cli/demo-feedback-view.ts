// What the demo shows while one server is loaded by another program: how busy each server is, what share of
// the new connections weir gives it, and why. Pure: from what was measured to text. A page for a terminal
// of 80 columns and 24 lines, or one line each second for anything else.

import type { BackendView } from '../control/backend-view.ts';
import { bar, count, type Paint, pad, percent, printable, table } from './status-terminal.ts';

const BAR_WIDTH = 20;

/** What of the reports says how busy a server is: its own word, or how busy its CPUs are. */
export function busyPart({ report }: Pick<BackendView, 'report'>): number | undefined {
  return report?.figures.applicationUtilization ?? report?.figures.cpuUtilization;
}

/** 'alone' before and after, 'loaded' while the other program runs. */
export type FeedbackPhase = 'before' | 'loaded' | 'after';

export interface FeedbackEvent {
  /** Since this part began. */
  readonly atMs: number;
  readonly text: string;
}

export interface FeedbackView {
  readonly elapsedMs: number;
  readonly phase: FeedbackPhase;
  /** The one that is loaded. */
  readonly loaded: string;
  readonly servers: readonly Pick<BackendView, 'name' | 'report' | 'weight' | 'why'>[];
  readonly answered: number;
  readonly failed: number;
  /** Of the last seconds. */
  readonly requestsPerSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly events: readonly FeedbackEvent[];
}

/** '  5.0 s  another program on b1 …' */
export function feedbackEventText({ atMs, text }: FeedbackEvent): string {
  return `${(atMs / 1000).toFixed(1).padStart(5)} s  ${text}`;
}

/** The page, as lines that fit the width if it is 80 or more. */
export function renderFeedback(view: FeedbackView, colors: Paint, width: number): string[] {
  const { elapsedMs, loaded, servers } = view;
  const names = servers.map(({ name }) => name).join(', ');
  const why = servers.find(({ name }) => name === loaded)?.why ?? '';
  const lines = [
    `${colors.bold('load feedback')}  ${Math.round(elapsedMs / 1000)} s`,
    colors.dim(`client ─▶ weir ◀─ reports ─ ${names} (Node, a fifth of a CPU each)`),
    '',
    ...trafficLines(view, colors),
    '',
    ...serverTable(view, colors),
    '',
    colors.dim(`  ${loaded}: ${printable(why)}`.slice(0, width)),
    '',
    ...view.events.map((event) => `  ${feedbackEventText(event)}`.slice(0, width)),
  ];
  return lines;
}

function trafficLines(view: FeedbackView, colors: Paint): string[] {
  const { failed, answered, requestsPerSecond, medianMs, p99Ms } = view;
  const shown = failed === 0 ? colors.green('0 failed') : colors.red(`${count(failed)} failed`);
  const rate = `${pad('requests', 9)} ${count(requestsPerSecond).padStart(5)} /s`;
  const latency = `${pad('latency', 9)} ${count(medianMs).padStart(5)} ms in the middle`;
  return [
    `  ${rate}   ${count(answered)} answered, ${shown}`,
    `  ${latency}, ${count(p99Ms)} ms for 99 %`,
  ];
}

function serverTable(view: FeedbackView, colors: Paint): string[] {
  const columns = [
    { title: 'SERVER' },
    { title: 'BUSY' },
    { title: '', align: 'right' as const },
    { title: 'SHARE OF CONNECTIONS' },
    { title: '', align: 'right' as const },
    { title: '' },
  ];
  const rows = view.servers.map(({ name, report, weight }) => {
    const busy = busyPart({ report });
    const isLoaded = view.phase === 'loaded' && name === view.loaded;
    return [
      name,
      bar(busy ?? 0, BAR_WIDTH / 2, colors),
      busy === undefined ? '–' : `${Math.round(busy * 100)} %`,
      bar(weight.share, BAR_WIDTH, colors),
      percent(weight.share),
      isLoaded ? colors.yellow('← loaded') : '',
    ];
  });
  return table(columns, rows, colors);
}

/** The same in one line, for what is no terminal. */
export function renderFeedbackLine(view: FeedbackView): string {
  const servers = view.servers.map(({ name, report, weight }) => {
    const busy = busyPart({ report });
    const shown = busy === undefined ? '' : ` (busy ${Math.round(busy * 100)} %)`;
    return `${name} ${percent(weight.share)}${shown}`;
  });
  const parts = [
    `${(view.elapsedMs / 1000).toFixed(1).padStart(5)} s`,
    `${count(view.requestsPerSecond).padStart(4)} requests/s`,
    `${count(view.failed)} failed`,
    servers.join(' '),
    `99 % in ${count(view.p99Ms)} ms`,
  ];
  return parts.join(' | ');
}
