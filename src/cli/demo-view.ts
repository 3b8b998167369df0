// What the demo shows while it runs: for a terminal a page that is drawn anew in place, for anything
// else one line each second. Pure: from what was measured to text.
// Rates are differences between two samples, so the first page has none.

import type { Status } from '../control/status-shape.ts';
import type { LoadReport } from '../lab/http-load-report.ts';
import type { KillEvent } from './demo-kills.ts';
import { bar, count, type Paint, pad, percent, visibleWidth } from './status-terminal.ts';

const BAR_WIDTH = 24;

/** Something that was measured, with the time: milliseconds since the traffic began. */
export interface Measured<Value> {
  readonly atMs: number;
  readonly value: Value;
}

/**
 * The newest value and the one before, for rates. While the control processor is dead the newest
 * status is an old one, and the rates are those of then.
 */
export interface Pair<Value> {
  readonly before: Measured<Value>;
  readonly now: Measured<Value>;
}

export interface DemoView {
  readonly durationMs: number;
  readonly elapsedMs: number;
  readonly load: Pair<LoadReport>;
  readonly status: Pair<Status>;
  readonly isControlAnswering: boolean;
  readonly events: readonly KillEvent[];
  /** Names of the servers, in their order. */
  readonly servers: readonly string[];
  readonly serverKind: string;
}

/** Everything that went wrong for the client: each would be a user's error message. */
export function failures(load: LoadReport): number {
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

/** How fast a count grows between two measurements. */
export function perSecond<Value>(
  { before, now }: Pair<Value>,
  pick: (value: Value) => number,
): number {
  const seconds = (now.atMs - before.atMs) / 1000;
  return seconds <= 0 ? 0 : Math.max(0, (pick(now.value) - pick(before.value)) / seconds);
}

function requestRate(view: DemoView): number {
  return perSecond(view.load, ({ requests }) => requests);
}

/** Packets per second that each switching processor receives. */
function packetRates({ status }: DemoView): number[] {
  return status.now.value.processes.switching.map((_, i) =>
    perSecond(status, ({ processes }) => processes.switching[i].received),
  );
}

function shares(view: DemoView): { name: string; requests: number; share: number }[] {
  const { perServer, requests: all } = view.load.now.value;
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

function headLines(view: DemoView, colors: Paint): string[] {
  const { elapsedMs, durationMs, servers, serverKind } = view;
  const { version, interfaces, processes } = view.status.now.value;
  const [first] = interfaces;
  const seconds = `${Math.round(elapsedMs / 1000)} of ${durationMs / 1000} s`;
  const switching = `${processes.switching.length} switching processors`;
  const how = first === undefined ? '' : `, ${first.kind} ${first.mode}`;
  return [
    `${colors.bold(`weir ${version}`)}  ${bar(elapsedMs / durationMs, BAR_WIDTH, colors)} ${seconds}`,
    colors.dim(`client ─▶ weir (${switching}${how}) ─▶ ${servers.join(', ')} (${serverKind})`),
  ];
}

function trafficLines(view: DemoView, colors: Paint): string[] {
  const load = view.load.now.value;
  const { totals, connections } = view.status.now.value;
  const failed = failures(load);
  const shown = failed === 0 ? colors.green('0 failed') : colors.red(`${count(failed)} failed`);
  const line = (name: string, rate: number, text: string): string =>
    `  ${pad(name, 12)} ${count(rate).padStart(9)} /s   ${text}`;
  return [
    line('requests', requestRate(view), `${count(load.requests)} answered, ${shown}`),
    line(
      'packets',
      perSecond(view.status, (status) => status.totals.received),
      `${count(totals.received)} received, ${count(totals.verdicts.forwarded)} forwarded`,
    ),
    line(
      'connections',
      perSecond(view.status, (status) => status.connections.inserted),
      `${count(connections.inserted)} begun, ${count(load.open)} open`,
    ),
  ];
}

function serverLines(view: DemoView, colors: Paint): string[] {
  return shares(view).map(({ name, requests, share }) => {
    const part = percent(share).padStart(7);
    return `  ${pad(name, 11)} ${bar(share, BAR_WIDTH, colors)} ${part}  ${count(requests)} requests`;
  });
}

function processorLines(view: DemoView, colors: Paint): string[] {
  const { control, switching } = view.status.now.value.processes;
  const rates = packetRates(view);
  const all = rates.reduce((sum, rate) => sum + rate, 0);
  const lines = switching.map((each, i) => {
    const part = bar(all === 0 ? 0 : rates[i] / all, BAR_WIDTH, colors);
    const state = each.state === 'running' ? colors.green('running') : colors.red(each.state);
    const rate = `${count(rates[i]).padStart(9)} packets/s`;
    return `  switching ${each.processor} ${part} ${rate}  ${state}, pid ${each.pid}`;
  });
  const answers = view.isControlAnswering
    ? `${colors.green('answers')}, pid ${control.pid}`
    : `${colors.red('dead')}: switching goes on, counts are shown when it is back`;
  return [...lines, `  ${pad('control', 11)} ${answers}`];
}

function dropLine({ status }: DemoView, colors: Paint): string {
  const shown = drops(status.now.value).map(([reason, number]) => `${reason} ${count(number)}`);
  return `  dropped     ${shown.length === 0 ? colors.dim('nothing') : shown.join(', ')}`;
}

/** The same in one line, for what is no terminal. */
export function renderLine(view: DemoView): string {
  const parts = [
    `${(view.elapsedMs / 1000).toFixed(1).padStart(5)} s`,
    `${count(requestRate(view)).padStart(6)} requests/s`,
    `${count(failures(view.load.now.value))} failed`,
    shares(view)
      .map(({ name, share }) => `${name} ${percent(share)}`)
      .join(' '),
  ];
  const rates = packetRates(view).map(count).join(' + ');
  parts.push(view.isControlAnswering ? `${rates} packets/s` : 'control is dead');
  return parts.join(' | ');
}
