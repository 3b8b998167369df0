import { describe, expect, it } from 'vitest';
import { findAims, type Measured } from './aims.ts';
import { aimsWithReasons } from './reasons.ts';
import type { Aim, Condition, Machine, Series } from './result.ts';

const MACHINE = { cpus: 2 } as Machine;

function series(
  part: string,
  measure: string,
  contender: string,
  condition: Condition,
  ...values: number[]
): Series {
  return { part, measure, unit: '', better: 'more', contender, condition, values };
}

function aimOf(words: string, all: Series[], machine = MACHINE): Aim {
  const found = findAims({ series: all, machine } as Measured).filter(({ aim }) =>
    aim.includes(words),
  );
  expect(found).toHaveLength(1);
  return found[0];
}

const AT_64K = { connections: 65_536 };
const forwarded = (contender: string, ...values: number[]) =>
  series('packets', 'throughput', contender, AT_64K, ...values);
const onOneCore = (...values: number[]) =>
  series('packets', 'throughput, all on one core', 'weir-af-xdp', AT_64K, ...values);
const known = (contender: string, connections: number, value: number) =>
  series('filter', 'known connection', contender, { connections }, value);

describe('aims', () => {
  it('are not measured, never met, when nothing was measured', () => {
    for (const { isMet } of findAims({ series: [], machine: MACHINE })) {
      expect(isMet).toBeUndefined();
    }
  });

  it('have reasons only under their own words', () => {
    const aims = findAims({ series: [], machine: MACHINE }).map(({ aim }) => aim);
    for (const aim of aimsWithReasons()) expect(aims).toContain(aim);
  });

  it('packets: the median on one core decides, what a second core helps is told', () => {
    const rates = [forwarded('nftables', 0.5, 0.4, 9), forwarded('weir-af-xdp', 1)];
    expect(aimOf('nftables does', [...rates, onOneCore(0.8, 0.75)]).isMet).toBe(true);
    const missed = aimOf('nftables does', [...rates, onOneCore(0.7)]);
    expect(missed.isMet).toBe(false);
    expect(missed.found).toContain('1.4 times');
    expect(missed.found).toContain('2 times');
    expect(aimOf('nftables does', rates).isMet).toBeUndefined();
  });

  it('packets: beside the C twin', () => {
    const twin = forwarded('c-twin', 1);
    expect(aimOf('its C twin', [twin, forwarded('weir-af-xdp', 0.85)]).isMet).toBe(true);
    expect(aimOf('its C twin', [twin, forwarded('weir-af-xdp', 0.84)]).isMet).toBe(false);
  });

  it('packets: nothing is claimed of different loads, or where the generator was the limit', () => {
    const offered = (contender: string, value: number) =>
      series('packets', 'rate offered meanwhile', contender, AT_64K, value);
    const rates = [forwarded('weir-af-xdp', 1), forwarded('c-twin', 1), offered('c-twin', 2)];
    const fair = aimOf('its C twin', [...rates, offered('weir-af-xdp', 1.9)]);
    expect(fair.isMet).toBe(true);
    const unequal = aimOf('its C twin', [...rates, offered('weir-af-xdp', 1.5)]);
    expect(unequal.isMet).toBeUndefined();
    expect(unequal.reason).toContain('same load');
    const slow = [forwarded('weir-af-xdp', 1), forwarded('c-twin', 0.5), offered('c-twin', 1.01)];
    const limited = aimOf('its C twin', [...slow, offered('weir-af-xdp', 1.01)]);
    expect(limited.isMet).toBeUndefined();
    expect(limited.reason).toContain('generator');
  });

  it('filter: both numbers of connections must be met', () => {
    const few = [known('filter', 65_536, 150), known('C twin', 65_536, 100)];
    const many = [known('filter', 1_048_576, 310), known('C twin', 1_048_576, 200)];
    expect(aimOf('as in C', few).isMet).toBeUndefined();
    const missed = aimOf('as in C', [...few, ...many]);
    expect(missed.isMet).toBe(false);
    expect(missed.found).toContain('1048576');
    many[0] = known('filter', 1_048_576, 300);
    expect(aimOf('as in C', [...few, ...many]).isMet).toBe(true);
  });

  it('filter: ten million, or the most that fit', () => {
    const usual = known('filter', 65_536, 100);
    expect(aimOf('10 M', [usual, known('filter', 10_000_000, 250)]).isMet).toBe(true);
    expect(aimOf('10 M', [usual, known('filter', 10_000_000, 251)]).isMet).toBe(false);
    expect(aimOf('10 M', [usual, known('filter', 1_048_576, 101)]).isMet).toBeUndefined();
    expect(aimOf('10 M', [usual, known('filter', 9_000_000, 101)]).found).toContain('that fit');
  });

  it('connections: against both proxies, at every rate', () => {
    const cost = (contender: string, rate: number, value: number) =>
      series('connections', 'CPU time per connection', contender, { rate }, value);
    const all = [cost('weir-af-xdp', 1, 10), cost('haproxy', 1, 20), cost('nginx', 1, 30)];
    expect(aimOf('new connection', all.slice(0, 2)).isMet).toBeUndefined();
    expect(aimOf('new connection', all).isMet).toBe(true);
    const more = [cost('weir-af-xdp', 2, 10), cost('haproxy', 2, 19)];
    const missed = aimOf('new connection', [...all, ...more]);
    expect(missed.isMet).toBe(false);
    expect(missed.found).toContain('haproxy');
    expect(missed.found).toContain('rate 2');
  });

  it('latency: sleeping and polling are aims of their own', () => {
    const added = (contender: string, value: number) =>
      series('connections', 'request added, p99', contender, { rate: 1 }, value);
    const others = [added('haproxy', 100), added('nginx', 120)];
    const sleeping = added('weir-af-xdp', 100);
    const polling = added('weir-af-xdp, busy polling', 51);
    expect(aimOf('sleeping', [...others, sleeping, polling]).isMet).toBe(true);
    expect(aimOf('busy polling', [...others, sleeping, polling]).isMet).toBe(false);
  });

  it('latency: nothing is gained from another that seems to add less than nothing', () => {
    const added = (contender: string, value: number) =>
      series('connections', 'request added, p99', contender, { rate: 1 }, value);
    const all = [added('haproxy', -10), added('nginx', -20), added('weir-af-xdp', -1)];
    expect(aimOf('sleeping', all).isMet).toBe(true);
    all[2] = added('weir-af-xdp', 1);
    expect(aimOf('sleeping', all).isMet).toBe(false);
  });

  it('memory: ours alone counts, and the largest of it', () => {
    const taken = (measure: string, contender: string, unit: string, value: number) => ({
      ...series('memory', measure, contender, {}, value),
      unit,
    });
    const ours = taken('memory of a connection', 'weir-af-xdp', 'bytes', 144);
    const theirs = taken('memory of a connection', 'nftables', 'bytes', 256);
    const other = taken('memory per connection', 'weir-af-xdp', 'MiB', 999);
    expect(aimOf('200 bytes', [ours, theirs, other]).isMet).toBe(true);
    const filter = taken('bytes per connection', 'filter', 'bytes', 201);
    expect(aimOf('200 bytes', [ours, filter]).isMet).toBe(false);
    expect(aimOf('200 bytes', [theirs]).isMet).toBeUndefined();
  });

  it('garbage: only a whole minute without a collection will do', () => {
    const found = (seconds: number, ...values: number[]) =>
      aimOf('garbage', [
        series('garbage', 'collections under full load', 'weir-af-xdp', { seconds }, ...values),
      ]);
    expect(found(60, 0).isMet).toBe(true);
    expect(found(60, 0, 1).isMet).toBe(false);
    expect(found(5, 0).isMet).toBeUndefined();
    expect(found(5, 2).isMet).toBe(false);
  });

  it('flip: the gap while replacing decides, the machine’s own is told', () => {
    const gap = (meanwhile: string, value: number) =>
      series('flip', 'longest gap between two packets', 'weir-af-xdp', { meanwhile }, value);
    const found = aimOf('flip', [gap('nothing', 0.4), gap('replacing', 1.2)]);
    expect(found).toMatchObject({ isMet: false, found: '1.2 ms; 0.4 ms without a flip' });
    expect(aimOf('flip', [gap('nothing', 5), gap('replacing', 0.9)]).isMet).toBe(true);
    expect(aimOf('flip', [gap('nothing', 0.1)]).isMet).toBeUndefined();
  });

  it('two processors: not with less than four CPUs', () => {
    const two = series('packets', 'throughput of two processors', 'weir-af-xdp', AT_64K, 1.8);
    const all = [two, forwarded('weir-af-xdp', 1)];
    const small = aimOf('two processors', all);
    expect(small.isMet).toBeUndefined();
    expect(small.reason).toContain('2 CPUs');
    expect(aimOf('two processors', all, { ...MACHINE, cpus: 4 }).isMet).toBe(true);
  });
});
