// The page of `weir why`: how a backend has come by its present weight, from what it says of itself over what
// checks and operators say to the steps that the master took, and what share that makes beside the other
// backends of its service. Pure; the steps' words are the master's own (src/distribution).

import type { BackendsView, BackendView, RuntimeChange } from '../control/backend-view.ts';
import {
  changeText,
  connectionsText,
  drainText,
  figure,
  figuresText,
  healthText,
  shortened,
  stateText,
  waitingText,
  wishText,
  wrap,
} from './backend-texts.ts';
import {
  bar,
  count,
  duration,
  type Paint,
  pad,
  percent,
  plural,
  printable,
} from './status-terminal.ts';

const TITLE_WIDTH = 13;
const SHARE_WIDTH = 20;
const NAME_WIDTH = 24;

/** The whole page, ended by a newline. `all`: to show the service's other backends beside it. */
export function renderWhy(
  backend: BackendView,
  all: BackendsView,
  width: number,
  colors: Paint,
): string {
  const name = printable(`${backend.service}/${backend.name}`);
  const address = `${backend.address}:${backend.port} ${backend.protocol}`;
  const fallback = backend.isFallback ? '  fallback: used while no other can be' : '';
  const changes = all.changes.filter(
    (change) => change.service === backend.service && change.backend === backend.name,
  );
  const columns = Math.max(80, width);
  const lines = [
    `${colors.bold(name)}  ${address}  ${stateText(backend, colors)}${colors.dim(fallback)}`,
    ...wrap(colors.bold(printable(backend.why)), columns, '  '),
    '',
    ...known(backend, changes, columns, colors),
    '',
    colors.bold('from the configured weight to the present one'),
    ...steps(backend, columns, colors),
    '',
    colors.bold(`shares of the new connections of ${printable(backend.service)}`),
    ...shares(backend, all, colors),
  ];
  return `${lines.join('\n')}\n`;
}

/** What is known of it: report, checks, operators, connections. */
function known(
  backend: BackendView,
  changes: readonly RuntimeChange[],
  width: number,
  colors: Paint,
): string[] {
  const { report, health, drain, connections, rates } = backend;
  const lines: string[] = [];
  const add = (title: string, text: string): void => {
    const indent = ' '.repeat(TITLE_WIDTH + 2);
    const wrapped = wrap(text, width, indent);
    const first = `  ${colors.dim(pad(title, TITLE_WIDTH))}${wrapped[0].slice(indent.length)}`;
    lines.push(first, ...wrapped.slice(1));
  };
  if (report === null) add('report', 'none');
  else {
    const who = `${printable(report.source)} ${printable(report.identity)}`;
    add('report', `${who}, ${duration(report.ageMs)} ago: ${figuresText(report)}`);
    const wish = wishText(report);
    if (wish !== '') add('asks for', wish);
  }
  add('health', health === null ? 'not checked' : healthText(health));
  if (health !== null) {
    const last = health.lastCheck;
    const told =
      last === null
        ? 'none has ended yet'
        : `the last ${last.ok ? 'was good' : 'failed'} ${duration(last.ageMs)} ago ` +
          `in ${duration(last.durationMs)}: ${printable(last.detail)}`;
    const figures = `${plural(health.checks, 'check')}, ${count(health.failures)} failed`;
    add('checks', `${figures}; ${told}`);
  }
  for (const change of changes) add('operator', changeText(change));
  if (drain !== null) {
    add('drain', drainText(drain));
    const rest = waitingText(drain);
    if (rest !== '') add('waits for', rest);
  }
  const open = `${connectionsText(backend)} open, ${count(connections.total)} ever`;
  add('connections', `${open}, ${figure(rates.connectionsPerSecond)} new per second`);
  return lines;
}

function steps(backend: BackendView, width: number, colors: Paint): string[] {
  const { weight, reasons } = backend;
  const texts = reasons.map(({ text }) => printable(text));
  const numbered = texts.flatMap((text, i) => {
    const lines = wrap(text, width, ' '.repeat(5));
    return [`  ${pad(`${i + 1}.`, 2, 'right')} ${lines[0]?.trimStart() ?? ''}`, ...lines.slice(1)];
  });
  const result = `weight ${figure(weight.configured)} in the file → ${figure(weight.now)} now`;
  const share = `${percent(weight.share)} of the new connections`;
  const published = `${count(weight.published)} in the configuration table`;
  const isPlain = weight.now === weight.configured;
  const none = isPlain ? 'nothing is at work: the weight is as configured' : 'no steps are told';
  return [
    ...(numbered.length === 0 ? [`   ${none}`] : numbered),
    ...wrap(`→ ${colors.bold(result)}, ${share}, ${published}`, width, '   '),
  ];
}

function shares(backend: BackendView, { backends }: BackendsView, colors: Paint): string[] {
  const others = backends.filter(({ service }) => service === backend.service);
  const names = others.map(({ name }) => shortened(printable(name), NAME_WIDTH));
  const width = Math.max(0, ...names.map((name) => name.length));
  return others.map((other, i) => {
    const isThis = other.name === backend.name;
    const mark = isThis ? colors.bold('▸') : ' ';
    const share = pad(percent(other.weight.share), 7, 'right');
    const weight = `weight ${figure(other.weight.now)}`;
    return `${mark} ${pad(names[i], width)}  ${share} ${bar(other.weight.share, SHARE_WIDTH, colors)}  ${weight}`;
  });
}
