import { describe, expect, it } from 'vitest';
import {
  bar,
  bytes,
  count,
  duration,
  paint,
  percent,
  printable,
  showsColors,
  table,
  visibleWidth,
} from './status-terminal.ts';

const plain = paint(false);
const colors = paint(true);

describe('numbers for people', () => {
  it('has thousands separators and units', () => {
    expect(count(1_234_567.4)).toBe('1,234,567');
    expect(percent(1 / 3)).toBe('33.3 %');
    expect([0, 999, 1000, 999_949, 999_950, 12_345_678].map(bytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '999.9 kB',
      '1.0 MB',
      '12.3 MB',
    ]);
  });

  it('has durations in two units at most', () => {
    const shown = [850, 12_000, 185_000, 7_620_000, 349_200_000].map(duration);
    expect(shown).toEqual(['850 ms', '12 s', '3 min 5 s', '2 h 7 min', '4 d 1 h']);
  });
});

describe('bar', () => {
  it('is as wide as asked for, whatever the part', () => {
    for (let part = -0.5; part <= 1.5; part += 0.01) {
      expect(visibleWidth(bar(part, 10, colors))).toBe(10);
    }
    expect(bar(0, 4, plain)).toBe('░░░░');
    expect(bar(0.5, 4, plain)).toBe('██░░');
    expect(bar(0.28125, 4, plain)).toBe('█▏░░');
    expect(bar(1, 4, plain)).toBe('████');
  });
});

describe('table', () => {
  it('aligns by what is seen, not by colour sequences', () => {
    const columns = [{ title: 'A' }, { title: 'B', align: 'right' as const }, { title: 'C' }];
    const rows = [
      [colors.red('xy'), '1', 'end'],
      ['x', '1,000', ''],
    ];
    const lines = table(columns, rows, plain);
    expect(lines[0]).toBe('  A       B  C');
    expect(lines[1]).toBe(`  ${colors.red('xy')}      1  end`);
    expect(lines[2]).toBe('  x   1,000');
  });
});

describe('colours', () => {
  it('are for terminals that want them', () => {
    expect(showsColors({ isTTY: true }, {})).toBe(true);
    expect(showsColors({}, {})).toBe(false);
    expect(showsColors({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
    expect(showsColors({ isTTY: true }, { NO_COLOR: '' })).toBe(true);
    expect(showsColors({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
  });

  it('come from nowhere else', () => {
    expect(printable('eth\u001b[31m0')).toBe('eth·[31m0');
  });
});
