// Bars: a row for each contender, panels for each measure and condition, each with a scale of its own
// from zero. The bar is the median, the whisker reaches from the lowest to the highest round.

import type { Spread } from './summary.ts';
import { at, fillClass, lineFrom, niceTicks, picture, textAt, textWidth } from './svg.ts';
import { axisNumber, contenderLabel, figure } from './words.ts';

export interface Bar extends Spread {
  readonly contender: string;
}

export interface BarPanel {
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly bars: readonly Bar[];
}

export interface BarPicture {
  readonly title: string;
  readonly panels: readonly BarPanel[];
}

const MARGIN = 20;
const HEADING_HEIGHT = 52;
const ROW_HEIGHT = 26;
const BAR_HEIGHT = 16;
const PANEL_HEAD = 24;
/** Ticks and the unit. */
const PANEL_FOOT = 40;
const PANEL_GAP = 22;
const COLUMN_WIDTH = 440;
const SINGLE_WIDTH = 720;

function panelHeight({ bars }: BarPanel): number {
  return PANEL_HEAD + bars.length * ROW_HEIGHT + PANEL_FOOT;
}

function panelBody(panel: BarPanel, left: number, top: number, width: number): string[] {
  const { bars, unit, better } = panel;
  const labelWidth = Math.max(...bars.map(({ contender }) => textWidth(contenderLabel(contender))));
  const figureWidth = Math.max(...bars.map(({ median }) => textWidth(figure(median)))) + 8;
  const start = left + labelWidth + 8;
  const room = left + width - figureWidth - start;
  const low = Math.min(0, ...bars.map(({ min }) => min));
  const high = Math.max(0, ...bars.map(({ max }) => max));
  const ticks = niceTicks(low, high, Math.max(2, Math.floor(room / 75))).filter((x) => x >= low);
  const last = ticks[ticks.length - 1];
  // What is below zero is mostly little: it gets no more room than it needs.
  const place = (value: number): number => start + ((value - low) / (last - low)) * room;
  const rowsTop = top + PANEL_HEAD;
  const rowsEnd = rowsTop + bars.length * ROW_HEIGHT;
  const body = [textAt(left, top + 13, panel.title, 'panel')];
  for (const tick of ticks) {
    body.push(lineFrom(place(tick), rowsTop, place(tick), rowsEnd, tick === 0 ? 'axis' : 'grid'));
    body.push(textAt(place(tick), rowsEnd + 15, axisNumber(tick), 'small faint', 'middle'));
  }
  const middle = start + room / 2;
  body.push(textAt(middle, rowsEnd + 31, `${unit} (${better} is better)`, 'small faint', 'middle'));
  bars.forEach((bar, i) => {
    body.push(...barRow(bar, place, rowsTop + (i + 0.5) * ROW_HEIGHT, start));
  });
  return body;
}

function barRow(
  { contender, median, min, max, rounds }: Bar,
  place: (value: number) => number,
  y: number,
  labelEnd: number,
): string[] {
  const [from, to] = [Math.min(place(0), place(median)), Math.max(place(0), place(median))];
  const box =
    `<rect x="${at(from)}" y="${at(y - BAR_HEIGHT / 2)}" width="${at(Math.max(1, to - from))}" ` +
    `height="${BAR_HEIGHT}" rx="2" class="${fillClass(contender)}"/>`;
  const parts = [textAt(labelEnd - 8, y + 4.5, contenderLabel(contender), '', 'end'), box];
  if (rounds > 1) {
    parts.push(lineFrom(place(min), y, place(max), y, 'whisker'));
    for (const end of [min, max]) {
      parts.push(lineFrom(place(end), y - 4, place(end), y + 4, 'whisker'));
    }
  }
  const behind = Math.max(to, place(max)) + 6;
  return [...parts, textAt(behind, y + 4.5, figure(median), 'small over')];
}

function described({ title, unit, bars }: BarPanel): string {
  const each = bars.map(
    ({ contender, median }) => `${contenderLabel(contender)} ${figure(median)}`,
  );
  return `${title}, ${unit}: ${each.join('; ')}.`;
}

/** The picture as an SVG file. Panels stand in two columns when there are more than two. */
export function barChart({ title, panels }: BarPicture): string {
  const columns = panels.length > 2 ? 2 : 1;
  const columnWidth = columns === 1 ? SINGLE_WIDTH - MARGIN * 2 : COLUMN_WIDTH;
  const width = MARGIN * 2 + columns * columnWidth + (columns - 1) * PANEL_GAP;
  const body = [
    textAt(MARGIN, 29, title, 'heading'),
    textAt(MARGIN, 47, 'bars: median of the rounds; whiskers: lowest and highest', 'small faint'),
  ];
  let top = HEADING_HEIGHT + 14;
  for (let i = 0; i < panels.length; i += columns) {
    const inRow = panels.slice(i, i + columns);
    inRow.forEach((panel, column) => {
      const left = MARGIN + column * (columnWidth + PANEL_GAP);
      body.push(...panelBody(panel, left, top, columnWidth));
    });
    top += Math.max(...inRow.map(panelHeight)) + PANEL_GAP;
  }
  const height = top - PANEL_GAP + MARGIN / 2;
  return picture({ title, description: panels.map(described).join(' '), width, height, body });
}
