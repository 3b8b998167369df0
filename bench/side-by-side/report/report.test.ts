import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BenchResult, Series } from '../result.ts';
import { benchmarkDocument } from './document.ts';
import { picturesOf, writePictures } from './pictures.ts';
import { SAMPLE_RESULT } from './sample-result.ts';
import { spreadOf, tablesOf } from './summary.ts';
import { niceTicks } from './svg.ts';
import { terminalReport } from './terminal.ts';
import { axisNumber, conditionText, duration, figure } from './words.ts';

/** A result with these series alone. */
function resultOf(series: Partial<Series>[], change: Partial<BenchResult> = {}): BenchResult {
  const whole = series.map((each) => ({
    part: 'packets',
    measure: 'throughput',
    unit: 'Mpps',
    better: 'more' as const,
    contender: 'nftables',
    condition: {},
    values: [1],
    ...each,
  }));
  return { ...SAMPLE_RESULT, series: whole, missing: [], aims: [], ...change };
}

describe('figures in words', () => {
  it.each([
    [0, '0'],
    [0.01234, '0.0123'],
    [1, '1.00'],
    [9.996, '10.0'],
    [12.34, '12.3'],
    [99.96, '100'],
    [123.4, '123'],
    [1234.5, '1,235'],
    [1_048_576, '1,048,576'],
    [-8.004, '-8.00'],
    [Number.NaN, '–'],
  ])('%d is %s', (value, text) => expect(figure(value)).toBe(text));

  it.each([
    [65_536, '64 k'],
    [1_048_576, '1 M'],
    [10_000_000, '10 M'],
    [512_000, '512 k'],
    [1500, '1.5 k'],
    [0.25, '0.25'],
    [-500, '-500'],
  ])('%d on an axis is %s', (value, text) => expect(axisNumber(value)).toBe(text));

  it('conditions: what is counted has its number first', () => {
    expect(conditionText({ connections: 1, streams: 8, offeredMpps: 0.5, idle: 'busy' })).toBe(
      '1 connection, 8 streams, offered Mpps 0.5, idle busy',
    );
    expect(conditionText({ connections: 1, idle: 'busy' }, ['connections'])).toBe('idle busy');
  });

  it('durations', () => expect([duration(59), duration(754)]).toEqual(['59 s', '12 min 34 s']));
});

describe('summary', () => {
  it('the median is the middle, of an even count the mean of two, whatever the order', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, rounds: 3 });
    expect(spreadOf([4, 1, 10, 2])).toEqual({ median: 3, min: 1, max: 10, rounds: 4 });
    expect(spreadOf([Number.NaN, 7])).toEqual({ median: 7, min: 7, max: 7, rounds: 1 });
    expect(spreadOf([])).toBeUndefined();
  });

  it('ratios are to the reference under the same condition', () => {
    const [table] = tablesOf(
      resultOf([
        { contender: 'weir-af-xdp', condition: { connections: 1024 }, values: [6] },
        { contender: 'nftables', condition: { connections: 1024 }, values: [3] },
        { contender: 'weir-af-xdp', condition: { connections: 1 }, values: [6] },
        { contender: 'nftables', condition: { connections: 1 }, values: [4] },
        { contender: 'c-twin', condition: { connections: 2 }, values: [4] },
      ]),
    );
    expect(table.reference).toBe('nftables');
    expect(table.rows.map((row) => [row.conditionText, row.contender, row.ratio])).toEqual([
      ['1 connection', 'weir-af-xdp', 1.5],
      ['1 connection', 'nftables', 1],
      ['2 connections', 'c-twin', undefined],
      ['1,024 connections', 'weir-af-xdp', 2],
      ['1,024 connections', 'nftables', 1],
    ]);
  });

  it('there is no ratio to nothing, nor of what is below it', () => {
    const [table] = tablesOf(
      resultOf([
        { contender: 'weir-af-xdp', condition: { rate: 1 } },
        { contender: 'nftables', condition: { rate: 1 }, values: [0] },
        { contender: 'weir-af-xdp', condition: { rate: 2 }, values: [-1] },
        { contender: 'nftables', condition: { rate: 2 } },
      ]),
    );
    expect(table.rows.map(({ ratio }) => ratio)).toEqual([undefined, undefined, undefined, 1]);
  });

  it('a condition that all rows share stands in the heading, not in every row', () => {
    const condition = { connections: 8, rate: 5 };
    const [table] = tablesOf(resultOf([{ condition }, { condition: { ...condition, rate: 6 } }]));
    expect(table.conditionText).toBe('8 connections');
    expect(table.rows.map((row) => row.conditionText)).toEqual(['rate 5', 'rate 6']);
  });

  it('a series without a value gives no row', () => {
    expect(tablesOf(resultOf([{ values: [] }]))).toEqual([]);
  });
});

describe('terminal', () => {
  const plain = terminalReport(SAMPLE_RESULT, { colour: false });

  it('is aligned: every table is as wide in each of its rows', () => {
    const text = terminalReport(
      resultOf([
        { contender: 'weir-af-xdp', values: [1, 2, 3] },
        { contender: 'nftables', values: [123_456] },
      ]),
      { colour: false },
    );
    const table = text.slice(text.indexOf('throughput'));
    expect(table.split('\n')).toEqual([
      'throughput: Mpps, more is better',
      '    contender       median    min … max  rounds  × nftables DNAT',
      '    weir, af-xdp      2.00  1.00 … 3.00       3             0.00',
      '    nftables DNAT  123,456            –       1             1.00',
      '',
      '',
    ]);
  });

  it('has every contender of every series', () => {
    for (const { values } of SAMPLE_RESULT.series) {
      expect(plain).toContain(figure(spreadOf(values)!.median));
    }
  });

  it('fits into 100 columns', () => {
    const wide = plain.split('\n').filter((line) => line.length > 100);
    expect(wide).toEqual([]);
  });

  it('has escape sequences only with colour', () => {
    expect(plain).not.toContain('\x1b');
    const coloured = terminalReport(SAMPLE_RESULT, { colour: true });
    expect(coloured).toContain('\x1b[');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    expect(coloured.replace(/\x1b\[\d+m/g, '')).toBe(plain);
  });

  it('says of every aim what became of it, and what is missing', () => {
    expect(plain).toMatch(/missed +af-xdp forwards/);
    expect(plain).toMatch(/met +no gap/);
    expect(plain).toMatch(/not measured +two processors/);
    expect(plain).toContain('packets, weir, af-xdp: two processors: fewer than 4 CPUs');
  });
});

/**
 * A strict reader of the XML that we write: one root, every element closed in order, attributes quoted
 * and given once, entities known. Gives the texts of the elements with this name.
 */
function readXml(text: string, wanted: string): string[] {
  const open: string[] = [];
  const found: string[] = [];
  let roots = 0;
  const tokens = text.matchAll(/<(\/?)([\w:]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)|(<)/g);
  for (const [token, closing, name, attributes, selfClosing, between, stray] of tokens) {
    if (stray !== undefined) throw new Error('a stray <');
    const content = between ?? attributes;
    const entities = content.match(/&(?!(?:amp|lt|gt|quot|#\d+);)/);
    if (entities !== null) throw new Error(`a bare & in ${token}`);
    if (between !== undefined) {
      if (open.length === 0 && between.trim() !== '') throw new Error(`text outside: ${between}`);
      if (open.at(-1) === wanted) found.push(between);
      continue;
    }
    const names = [...attributes.matchAll(/([\w:-]+)=/g)].map(([, each]) => each);
    if (new Set(names).size !== names.length) throw new Error(`an attribute twice: ${token}`);
    if (closing !== '') {
      if (open.pop() !== name) throw new Error(`${token} closes nothing`);
      continue;
    }
    if (open.length === 0) roots++;
    if (selfClosing === '') open.push(name);
  }
  if (open.length > 0 || roots !== 1) throw new Error(`not closed: ${open}; roots: ${roots}`);
  return found;
}

describe('pictures', () => {
  const pictures = picturesOf(SAMPLE_RESULT);
  const svgOf = (name: string) => pictures.find(({ file }) => file === `bench-${name}.svg`)!.svg;

  it('the reader of XML that these tests use sees what is broken', () => {
    expect(readXml('<a><b c="1"/>x &amp; y</a>', 'a')).toEqual(['x &amp; y']);
    for (const broken of [
      '<a>',
      '<a></b>',
      '<a/><a/>',
      '<a b="1" b="2"/>',
      '<a>&</a>',
      '<a b=1/>',
    ]) {
      expect(() => readXml(broken, 'a'), broken).toThrow();
    }
  });

  it('there is one for each question that the sample answers', () => {
    expect(pictures.map(({ file, part }) => `${part} ${file}`)).toEqual([
      'packets bench-throughput.svg',
      'connections bench-cpu.svg',
      'connections bench-latency-tcp.svg',
      'packets bench-connections.svg',
      'packets bench-loss.svg',
      'filter bench-filter.svg',
    ]);
  });

  it('are well-formed, with a title, a description, and every coordinate a number', () => {
    for (const { svg, file } of pictures) {
      expect(readXml(svg, 'title'), file).toHaveLength(1);
      expect(readXml(svg, 'desc')[0].length, file).toBeGreaterThan(40);
      expect(svg, file).not.toMatch(/NaN|undefined|Infinity/);
    }
  });

  it('nothing stands outside of them', () => {
    for (const { svg, file } of pictures) {
      const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)!.map(Number);
      for (const [, x, y] of svg.matchAll(/<text x="(-?[\d.]+)" y="(-?[\d.]+)"/g)) {
        expect(Number(x), file).toBeGreaterThanOrEqual(0);
        expect(Number(x), file).toBeLessThanOrEqual(width);
        expect(Number(y), file).toBeGreaterThanOrEqual(0);
        expect(Number(y), file).toBeLessThanOrEqual(height);
      }
    }
  });

  it('bars are as long as their figures, from zero', () => {
    const widths = [...svgOf('cpu').matchAll(/width="([\d.]+)" height="16"/g)].map(([, width]) =>
      Number(width),
    );
    const figures = [21.3, 61, 70, 9.5];
    widths.slice(0, 4).forEach((width, i) => {
      expect(width / widths[2]).toBeCloseTo(figures[i] / figures[2], 2);
    });
  });

  it('bars show the usual number of connections, lines all of them', () => {
    const texts = (name: string) => readXml(svgOf(name), 'text');
    expect(texts('throughput')).toContain('throughput, 65,536 connections');
    expect(texts('throughput')).not.toContain('throughput, 1 connection');
    for (const tick of ['1', '1 k', '64 k', '1 M']) expect(texts('connections')).toContain(tick);
    expect(texts('loss')).toContain('offered, Mpps');
  });

  it('what was told to a contender stands in its name, and leaves it its colour', () => {
    const svg = svgOf('latency-tcp');
    expect(readXml(svg, 'text')).toContain('weir, af-xdp, busy polling');
    expect(new Set(svg.match(/class="f\d+"/g)).size).toBe(3);
  });

  it('what was offered, or is another view of the same, is in no picture', () => {
    const texts = pictures.flatMap(({ svg }) => readXml(svg, 'text')).join('\n');
    expect(texts).not.toMatch(/rate offered meanwhile|threads alone/);
  });

  it('names that XML reserves are harmless', () => {
    const result = resultOf([{ contender: '<b> & "c"' }]);
    const [{ svg }] = picturesOf(result);
    expect(readXml(svg, 'text')).toContain('&lt;b&gt; &amp; &quot;c&quot;');
  });

  it('a result without figures has no pictures', () => {
    expect(picturesOf(resultOf([]))).toEqual([]);
  });

  it('are written, those of an earlier result taken away, other files left alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-pictures-'));
    try {
      writeFileSync(join(folder, 'bench-former.svg'), '');
      writeFileSync(join(folder, 'other.svg'), '');
      const written = writePictures(SAMPLE_RESULT, folder);
      const names = pictures.map(({ file }) => file);
      expect(written).toEqual(names.map((name) => join(folder, name)));
      expect(readdirSync(folder).sort()).toEqual([...names, 'other.svg'].sort());
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('ticks are round, and cover what is asked for', () => {
    expect(niceTicks(0, 0.97)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(0, 3, 6)).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3]);
    expect(niceTicks(-8, 1000)).toEqual([-250, 0, 250, 500, 750, 1000]);
    expect(niceTicks(0, 0)[0]).toBe(0);
  });
});

describe('document', () => {
  const text = benchmarkDocument(SAMPLE_RESULT);

  it('has these headings', () => {
    expect(text.split('\n').filter((line) => /^#+ /.test(line))).toEqual([
      '# Benchmarks',
      '## Aims',
      '## Packets per second',
      '## The packet filter alone',
      '## TCP connections and requests',
      '## Bulk data',
      '## The machine',
      '## To repeat it',
    ]);
  });

  it('every table has as many cells in each row as in its head', () => {
    const tables = text.split('\n\n').filter((block) => block.startsWith('|'));
    expect(tables.length).toBeGreaterThan(8);
    for (const table of tables) {
      const widths = table.split('\n').map((line) => line.split(/(?<!\\)\|/).length);
      expect(new Set(widths).size, table).toBe(1);
    }
  });

  it('says met, missed and not measured, with the reason', () => {
    expect(text).toContain(
      '| af-xdp forwards 1.5 times what nftables does | 1.32 times | **missed** | the \\| pipe |',
    );
    expect(text).toContain(
      '| two processors carry 1.7 times one | – | not measured | too few CPUs |',
    );
    expect(text).toContain('Not measured: weir, af-xdp (two processors: fewer than 4 CPUs).');
  });

  it('says so of a quick run, and of a part of which nothing could be had', () => {
    expect(text).not.toContain('quick run');
    const missing = [{ part: 'bulk', contender: 'nginx', reason: 'it is\nnot installed' }];
    const other = benchmarkDocument(resultOf([], { isQuick: true, missing }));
    expect(other).toContain('quick run');
    expect(other).toContain('| Bulk data | nginx stream | it is not installed |');
  });

  it('names every picture that there is', () => {
    for (const { file } of picturesOf(SAMPLE_RESULT)) expect(text).toContain(`(pictures/${file})`);
  });
});
