// Lines: a figure against a number that was varied (connections, offered rate), a line for each
// contender through its medians, with whiskers from the lowest to the highest round. Lines differ in
// colour and in their marks.

import type { Spread } from './summary.ts';
import {
  at,
  fillClass,
  lineFrom,
  markAt,
  niceTicks,
  picture,
  strokeClass,
  textAt,
  textWidth,
} from './svg.ts';
import { axisNumber, contenderLabel, figure } from './words.ts';

export interface Point extends Spread {
  readonly x: number;
}

export interface Line {
  readonly contender: string;
  readonly points: readonly Point[];
}

export interface LinePanel {
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly lines: readonly Line[];
}

export interface LinePicture {
  readonly title: string;
  readonly xLabel: string;
  /** The varied number on a logarithmic axis. */
  readonly isXLogarithmic: boolean;
  readonly panels: readonly LinePanel[];
}

const WIDTH = 760;
const MARGIN = 20;
const LEFT = 66;
const RIGHT = 28;
const PLOT_HEIGHT = 270;
const PANEL_HEAD = 30;
const PANEL_FOOT = 44;
const PANEL_GAP = 20;
const LEGEND_LINE = 22;

/** All contenders of a picture, in order, each with the kind of its marks. */
type Marks = ReadonlyMap<string, number>;

function legend(marks: Marks, top: number): { body: string[]; height: number } {
  const body: string[] = [];
  let [x, y] = [MARGIN, top];
  for (const [contender, mark] of marks) {
    const label = contenderLabel(contender);
    const width = 38 + textWidth(label) + 10;
    if (x + width > WIDTH - MARGIN) [x, y] = [MARGIN, y + LEGEND_LINE];
    body.push(lineFrom(x, y, x + 28, y, `line ${strokeClass(contender)}`));
    body.push(markAt(mark, x + 14, y, fillClass(contender)));
    body.push(textAt(x + 36, y + 4.5, label));
    x += width;
  }
  return { body, height: y - top + LEGEND_LINE };
}

interface Scale {
  readonly ticks: readonly number[];
  place(value: number): number;
}

function xScale(values: readonly number[], isLogarithmic: boolean): Scale {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const end = WIDTH - RIGHT;
  if (!isLogarithmic) {
    const ticks = niceTicks(Math.min(0, distinct[0]), distinct[distinct.length - 1], 8);
    const [first, last] = [ticks[0], ticks[ticks.length - 1]];
    const place = (value: number) => LEFT + ((value - first) / (last - first)) * (end - LEFT);
    return { ticks, place };
  }
  const [first, last] = [Math.log(distinct[0]), Math.log(distinct[distinct.length - 1])];
  const range = last > first ? last - first : 1;
  // A little room at both sides, so that the outermost marks stand inside.
  const [from, to] = [LEFT + 14, end - 14];
  const place = (value: number) => from + ((Math.log(value) - first) / range) * (to - from);
  // What was measured stands on the axis, but for what would overlap.
  const ticks = distinct.filter(
    (each, i) => i === 0 || place(each) - place(distinct[i - 1]) > 36 || i === distinct.length - 1,
  );
  return { ticks, place };
}

function yScale(lines: readonly Line[], top: number): Scale {
  const points = lines.flatMap((line) => line.points);
  const high = Math.max(0, ...points.map(({ max }) => max));
  const low = Math.min(0, ...points.map(({ min }) => min));
  const ticks = niceTicks(low, high, 5);
  const [first, last] = [ticks[0], ticks[ticks.length - 1]];
  const place = (value: number) =>
    top + PLOT_HEIGHT - ((value - first) / (last - first)) * PLOT_HEIGHT;
  return { ticks, place };
}

function lineBody({ contender, points }: Line, x: Scale, y: Scale, mark: number): string[] {
  const path = points.map(({ x: value, median }, i) => {
    return `${i === 0 ? 'M' : 'L'}${at(x.place(value))} ${at(y.place(median))}`;
  });
  const whiskers = points
    .filter(({ min, max }) => y.place(min) - y.place(max) > 1)
    .flatMap(({ x: value, min, max }) => {
      const place = x.place(value);
      return lineFrom(
        place,
        y.place(min),
        place,
        y.place(max),
        `whisker ${strokeClass(contender)}`,
      );
    });
  return [
    ...whiskers,
    `<path d="${path.join('')}" class="line ${strokeClass(contender)}"/>`,
    ...points.map(({ x: value, median }) =>
      markAt(mark, x.place(value), y.place(median), fillClass(contender)),
    ),
  ];
}

function panelBody(panel: LinePanel, x: Scale, xLabel: string, top: number, marks: Marks) {
  const plotTop = top + PANEL_HEAD;
  const plotEnd = plotTop + PLOT_HEIGHT;
  const y = yScale(panel.lines, plotTop);
  const body = [
    textAt(MARGIN, top + 12, panel.title, 'panel'),
    textAt(
      WIDTH - RIGHT,
      top + 12,
      `${panel.unit} (${panel.better} is better)`,
      'small faint',
      'end',
    ),
  ];
  for (const tick of y.ticks) {
    const place = y.place(tick);
    body.push(lineFrom(LEFT, place, WIDTH - RIGHT, place, tick === 0 ? 'axis' : 'grid'));
    body.push(textAt(LEFT - 8, place + 4, axisNumber(tick), 'small faint', 'end'));
  }
  for (const tick of x.ticks) {
    body.push(lineFrom(x.place(tick), plotEnd, x.place(tick), plotEnd + 5, 'axis'));
    body.push(textAt(x.place(tick), plotEnd + 19, axisNumber(tick), 'small faint', 'middle'));
  }
  const middle = (LEFT + WIDTH - RIGHT) / 2;
  body.push(textAt(middle, plotEnd + 37, xLabel, 'small faint', 'middle'));
  for (const line of panel.lines)
    body.push(...lineBody(line, x, y, marks.get(line.contender) ?? 0));
  return body;
}

function described({ title, unit, lines }: LinePanel, xLabel: string): string {
  const each = lines.map(({ contender, points }) => {
    const values = points.map(({ x, median }) => `${figure(median)} at ${axisNumber(x)}`);
    return `${contenderLabel(contender)} ${values.join(', ')}`;
  });
  return `${title}, ${unit} against ${xLabel}: ${each.join('; ')}.`;
}

/** The picture as an SVG file: panels below one another, over the same horizontal axis. */
export function lineChart({ title, xLabel, isXLogarithmic, panels }: LinePicture): string {
  const contenders = new Set(panels.flatMap(({ lines }) => lines.map((line) => line.contender)));
  const marks: Marks = new Map([...contenders].map((contender, i) => [contender, i]));
  const points = panels.flatMap(({ lines }) => lines.flatMap((line) => line.points));
  const x = xScale(
    points.map((point) => point.x),
    isXLogarithmic,
  );
  const body = [
    textAt(MARGIN, 29, title, 'heading'),
    textAt(MARGIN, 47, 'median of the rounds; whiskers: lowest and highest', 'small faint'),
  ];
  const { body: legendBody, height: legendHeight } = legend(marks, 68);
  body.push(...legendBody);
  let top = 68 + legendHeight;
  for (const panel of panels) {
    body.push(...panelBody(panel, x, xLabel, top, marks));
    top += PANEL_HEAD + PLOT_HEIGHT + PANEL_FOOT + PANEL_GAP;
  }
  const height = top - PANEL_GAP + MARGIN / 2;
  const description = panels.map((panel) => described(panel, xLabel)).join(' ');
  return picture({ title, description, width: WIDTH, height, body });
}
