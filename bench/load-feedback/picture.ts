// The picture of docs/guides/load-feedback.md: report, weight, share and what clients felt, one under the other
// over the same time, from the record of a real run (test/scenario/load-feedback.test.ts with WEIR_RECORD).
// What happened is drawn through all panels.

import type { SeenMoment } from '../../test/support/load-feedback.ts';
import {
  at,
  fillClass,
  lineFrom,
  niceTicks,
  picture,
  strokeClass,
  textAt,
} from '../side-by-side/report/svg.ts';

export interface FeedbackRun {
  readonly events: readonly { readonly atMs: number; readonly text: string }[];
  readonly moments: readonly SeenMoment[];
}

/** Each server in a colour of its own; the loaded one in the warm one. */
const COLOURS = ['nftables', 'weir-af-xdp', 'nginx', 'haproxy'];

const WIDTH = 760;
const LEFT = 62;
const RIGHT = 24;
const TOP = 66;
const PANEL_HEIGHT = 118;
const PANEL_HEAD = 30;
const FOOT = 44;

interface Series {
  readonly colour: string;
  value(moment: SeenMoment): number | undefined;
}

interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
  /** Values are drawn times this, and cut off above `most`. */
  readonly factor: number;
  readonly most?: number;
}

/** The whole picture as SVG. */
export function drawFeedback(run: FeedbackRun): string {
  const { moments, events } = run;
  const names = Object.keys(moments[0].servers);
  const end = moments[moments.length - 1].atMs;
  const plotWidth = WIDTH - LEFT - RIGHT;
  const x = (ms: number): number => LEFT + (plotWidth * ms) / end;
  const panels = panelsOf(names);
  const height = TOP + panels.length * (PANEL_HEIGHT + PANEL_HEAD) + FOOT;
  const body = [textAt(LEFT, 28, TITLE, 'heading'), ...legend(names)];
  const bottom = height - FOOT;
  events.forEach(({ atMs }, n) => {
    body.push(lineFrom(x(atMs), TOP + 8, x(atMs), bottom, 'axis'));
    body.push(textAt(x(atMs) + 4, bottom + 16, `${n + 1}`, 'small faint'));
  });
  panels.forEach((panel, n) => {
    const top = TOP + n * (PANEL_HEIGHT + PANEL_HEAD) + PANEL_HEAD;
    body.push(...drawPanel(panel, moments, top, x));
  });
  for (const tick of niceTicks(0, end / 1000, 8)) {
    if (tick * 1000 > end) continue;
    body.push(textAt(x(tick * 1000), bottom + 32, `${tick} s`, 'small faint', 'middle'));
  }
  const description = describe(run, names);
  return picture({ title: TITLE, description, width: WIDTH, height, body });
}

const TITLE = 'From load report to weight to share';

function panelsOf(names: readonly string[]): Panel[] {
  const each = (value: (moment: SeenMoment, name: string) => number | undefined): Series[] =>
    names.map((name, n) => ({
      colour: COLOURS[n % COLOURS.length],
      value: (moment) => value(moment, name),
    }));
  return [
    {
      title: 'report: utilisation, %',
      factor: 100,
      most: 130,
      series: each(
        ({ servers }, name) => servers[name].utilization ?? servers[name].cpuUtilization,
      ),
    },
    { title: 'weight', factor: 1, series: each(({ servers }, name) => servers[name].weight) },
    {
      title: 'share of the requests that were answered, %',
      factor: 100,
      series: each(({ answered }, name) => answered[name]),
    },
    {
      title: 'requests: 99 % were faster than, ms (logarithmic)',
      factor: 1,
      series: [{ colour: 'haproxy', value: ({ p99Ms }) => (p99Ms > 0 ? p99Ms : undefined) }],
    },
  ];
}

function legend(names: readonly string[]): string[] {
  let left = LEFT;
  return names.flatMap((name, n) => {
    const box = `<path d="M${at(left)} 40h14v10h-14z" class="${fillClass(COLOURS[n % COLOURS.length])}"/>`;
    const label = textAt(left + 20, 50, name, 'small');
    left += 70;
    return [box, label];
  });
}

function drawPanel(
  panel: Panel,
  moments: readonly SeenMoment[],
  top: number,
  x: (ms: number) => number,
): string[] {
  const isLogarithmic = panel.title.includes('logarithmic');
  const values = panel.series.flatMap((series) =>
    moments.map((moment) => read(panel, series, moment)),
  );
  const known = values.filter((value) => value !== undefined);
  const highest = Math.max(...known, 1e-9);
  const ticks = isLogarithmic ? decades(highest) : niceTicks(0, highest, 3);
  const low = isLogarithmic ? Math.log10(ticks[0]) : 0;
  const high = isLogarithmic ? Math.log10(ticks[ticks.length - 1]) : ticks[ticks.length - 1];
  const y = (value: number): number => {
    const place = isLogarithmic ? Math.log10(Math.max(value, ticks[0])) : value;
    return top + PANEL_HEIGHT - (PANEL_HEIGHT * (place - low)) / (high - low);
  };
  const body = [textAt(LEFT, top - 8, panel.title, 'panel over')];
  for (const tick of ticks) {
    body.push(lineFrom(LEFT, y(tick), WIDTH - RIGHT, y(tick), 'grid'));
    body.push(textAt(LEFT - 8, y(tick) + 4, String(tick), 'small faint', 'end'));
  }
  for (const series of panel.series) {
    const path: string[] = [];
    let isDown = false;
    for (const moment of moments) {
      const value = read(panel, series, moment);
      if (value !== undefined)
        path.push(`${isDown ? 'L' : 'M'}${at(x(moment.atMs))} ${at(y(value))}`);
      isDown = value !== undefined;
    }
    body.push(`<path d="${path.join('')}" class="line ${strokeClass(series.colour)}"/>`);
  }
  return body;
}

function read(panel: Panel, series: Series, moment: SeenMoment): number | undefined {
  const value = series.value(moment);
  if (value === undefined || value === null || !Number.isFinite(value)) return undefined;
  return Math.min(value * panel.factor, panel.most ?? Number.POSITIVE_INFINITY);
}

/** Powers of ten from 1 up to what covers a value. */
function decades(highest: number): number[] {
  const ticks = [1];
  while (ticks[ticks.length - 1] < highest) ticks.push(ticks[ticks.length - 1] * 10);
  return ticks.length === 1 ? [1, 10] : ticks;
}

function describe({ events, moments }: FeedbackRun, names: readonly string[]): string {
  const told = events.map(
    ({ atMs, text }, n) => `${n + 1}, at ${Math.round(atMs / 1000)} s: ${text}`,
  );
  const shares = names.map((name) => {
    const all = moments.map(({ servers }) => Math.round(servers[name].share * 100));
    return `${name} between ${Math.min(...all)} and ${Math.max(...all)} %`;
  });
  return `${told.join('; ')}. Shares given: ${shares.join(', ')}.`;
}
