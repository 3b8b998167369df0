// What the demo shows while it runs: for a terminal a page that is drawn anew in place, for anything
// else one line each second. Pure: from what was measured to text.

import type { Status } from '../control/status-shape.ts';
import type { LoadReport } from '../lab/http-load-report.ts';
import type { KillEvent } from './demo-kills.ts';
import { bar, count, type Paint, pad, percent, visibleWidth } from './status-terminal.ts';

const BAR_WIDTH = 24;

/** What was known at one moment. */
export interface DemoSample {
  /** Monotonic milliseconds since the traffic began. */
  readonly atMs: number;
  readonly load: LoadReport | undefined;
  /** The newest that the control processor told; it may be some time old. */
  readonly status: Status;
  readonly isControlAnswering: boolean;
}

export interface DemoView {
  readonly durationMs: number;
  readonly previous: DemoSample;
  readonly now: DemoSample;
  readonly events: readonly KillEvent[];
  /** Names of the servers, in their order. */
  readonly servers: readonly string[];
  readonly serverKind: string;
}

/** Everything that went wrong for the client: each would be a user's error message. */
export function failures(load: LoadReport | undefined): number {
  if (load === undefined) return 0;
  const { failedRequests, connectErrors, brokenConnections, movedConnections } = load;
  return failedRequests + connectErrors + brokenConnections + movedConnections;
}

/** '8.0 s  control killed (SIGKILL): answering again after 93 ms' */
export function eventText({ process, atMs, backAfterMs }: KillEvent, colors: Paint): string {
  const back = process === 'control' ? 'answering' : 'forwarding';
  const outcome =
    backAfterMs === null
      ? colors.yellow(`not ${back} yet`)
      : colors.green(`${back} again after ${Math.round(backAfterMs)} ms`);
  return `${(atMs / 1000).toFixed(1).padStart(5)} s  ${process} killed (SIGKILL)  ${outcome}`;
}

/** Packets that ended for each reason that dropped them, most first. */
export function drops(status: Status): [reason: string, count: number][] {
  return Object.entries(status.totals.reasons)
    .filter(([, { verdict }]) => verdict === 'dropped')
    .map(([reason, { count: number }]): [string, number] => [reason, number])
    .sort(([, a], [, b]) => b - a);
}

function perSecond(view: DemoView, pick: (sample: DemoSample) => number): number {
  const { previous, now } = view;
  const seconds = (now.atMs - previous.atMs) / 1000;
  return seconds <= 0 ? 0 : Math.max(0, (pick(now) - pick(previous)) / seconds);
}

function requestsOf({ load }: DemoSample): number {
  return load?.requests ?? 0;
}

function shares(view: DemoView): { name: string; requests: number; share: number }[] {
  const perServer = view.now.load?.perServer ?? {};
  const all = requestsOf(view.now);
  return view.servers.map((name) => {
    const requests = perServer[name] ?? 0;
    return { name, requests, share: all === 0 ? 0 : requests / all };
  });
}

/** The page, as lines that fit the width. */
export function renderView(view: DemoView, colors: Paint, width: number): string[] {
  const lines = [
    ...headLines(view, colors),
    '',
    ...trafficLines(view, colors),
    '',
    ...serverLines(view, colors),
    '',
    ...processorLines(view, colors),
    '',
    dropLine(view, colors),
    '',
    ...view.events.map((event) => `  ${eventText(event, colors)}`),
  ];
  return lines.map((line) => cut(line, width));
}

/** Lines that wrap would be drawn over wrongly; a cut line loses its colours as well. */
function cut(line: string, width: number): string {
  if (visibleWidth(line) <= width) return line;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
  return line.replace(/\u001b\[[0-9;]*m/g, '').slice(0, width);
}

function headLines({ now, durationMs, servers, serverKind }: DemoView, colors: Paint): string[] {
  const { version, interfaces, processes } = now.status;
  const [first] = interfaces;
  const seconds = `${(now.atMs / 1000).toFixed(0)} of ${durationMs / 1000} s`;
  const switching = `${processes.switching.length} switching processors`;
  const how = first === undefined ? '' : `, ${first.kind} ${first.mode}`;
  return [
    `${colors.bold(`weir ${version}`)}  ${bar(now.atMs / durationMs, BAR_WIDTH, colors)} ${seconds}`,
    colors.dim(`client ─▶ weir (${switching}${how}) ─▶ ${servers.join(', ')} (${serverKind})`),
  ];
}

function trafficLines(view: DemoView, colors: Paint): string[] {
  const { load, status } = view.now;
  const rate = (pick: (sample: DemoSample) => number): string =>
    `${count(perSecond(view, pick)).padStart(9)} /s`;
  const failed = failures(load);
  const shown = failed === 0 ? colors.green('0 failed') : colors.red(`${count(failed)} failed`);
  const { totals, connections } = status;
  return [
    `  requests     ${rate(requestsOf)}   ${count(requestsOf(view.now))} answered, ${shown}`,
    `  packets      ${rate((sample) => sample.status.totals.received)}   ` +
      `${count(totals.received)} received, ${count(totals.verdicts.forwarded)} forwarded`,
    `  connections  ${rate((sample) => sample.status.connections.inserted)}   ` +
      `${count(connections.inserted)} begun, ${count(load?.open ?? 0)} open`,
  ];
}

function serverLines(view: DemoView, colors: Paint): string[] {
  return shares(view).map(({ name, requests, share }) => {
    const part = percent(share).padStart(7);
    return `  ${pad(name, 11)} ${bar(share, BAR_WIDTH, colors)} ${part}  ${count(requests)} requests`;
  });
}

function processorLines(view: DemoView, colors: Paint): string[] {
  const { now } = view;
  const rates = now.status.processes.switching.map(({ processor }) =>
    perSecond(view, (sample) => sample.status.processes.switching[processor].received),
  );
  const all = rates.reduce((sum, rate) => sum + rate, 0);
  const lines = now.status.processes.switching.map((each, i) => {
    const part = bar(all === 0 ? 0 : rates[i] / all, BAR_WIDTH, colors);
    const state = each.state === 'running' ? colors.green('running') : colors.red(each.state);
    const rate = `${count(rates[i]).padStart(9)} packets/s`;
    return `  switching ${each.processor} ${part} ${rate}  ${state}, pid ${each.pid}`;
  });
  const { control } = now.status.processes;
  const answers = now.isControlAnswering ? colors.green('answers') : colors.red('dead');
  const pid = now.isControlAnswering ? `, pid ${control.pid}` : '';
  return [...lines, `  ${pad('control', 11)} ${answers}${pid}`];
}

function dropLine({ now }: DemoView, colors: Paint): string {
  const shown = drops(now.status).map(([reason, number]) => `${reason} ${count(number)}`);
  return `  dropped     ${shown.length === 0 ? colors.dim('nothing') : shown.join(', ')}`;
}

/** The same in one line, for what is no terminal. */
export function renderLine(view: DemoView): string {
  const { now } = view;
  const switching = now.status.processes.switching.map(({ processor }) =>
    count(perSecond(view, (sample) => sample.status.processes.switching[processor].received)),
  );
  const parts = [
    `${(now.atMs / 1000).toFixed(1).padStart(5)} s`,
    `${count(perSecond(view, requestsOf)).padStart(6)} requests/s`,
    `${failures(now.load)} failed`,
    shares(view)
      .map(({ name, share }) => `${name} ${percent(share)}`)
      .join(' '),
    `packets/s per processor ${switching.join(' ')}`,
  ];
  if (!now.isControlAnswering) parts.push('control is dead');
  return parts.join(' | ');
}
