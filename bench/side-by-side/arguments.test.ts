import { describe, expect, it } from 'vitest';
import { readArguments, usage } from './arguments.ts';

const CHOICES = {
  parts: [
    { name: 'packets', what: 'packets per second' },
    { name: 'filter', what: 'the filter alone' },
  ],
  contenders: [
    { name: 'weir-af-xdp', label: 'weir' },
    { name: 'nftables', label: 'the kernel' },
  ],
};
const read = (...args: string[]) => readArguments(args, CHOICES);

describe('readArguments', () => {
  it('takes everything, five rounds, by default', () => {
    expect(read()).toEqual({
      isQuick: false,
      isTrial: false,
      rounds: 5,
      parts: ['packets', 'filter'],
      contenders: ['weir-af-xdp', 'nftables'],
      isJson: false,
      output: undefined,
    });
  });

  it('has one round when quick, unless more are wanted', () => {
    expect(read('--quick')).toMatchObject({ isQuick: true, rounds: 1 });
    expect(read('--quick', '--rounds', '3')).toMatchObject({ isQuick: true, rounds: 3 });
    expect(read('--trial')).toMatchObject({ isQuick: true, isTrial: true, rounds: 1 });
  });

  it('selects by name, in its own order', () => {
    expect(read('--only', 'filter,packets')).toMatchObject({ parts: ['packets', 'filter'] });
    expect(read('--contenders=nftables')).toMatchObject({ contenders: ['nftables'] });
    expect(read('--json', '--output', 'x.json')).toMatchObject({ isJson: true, output: 'x.json' });
  });

  it('refuses everything that is wrong at once, with the names that there are', () => {
    const found = read('--only', 'packets,speed', '--contenders', 'ipvs', '--rounds', '0');
    expect(found).toEqual({
      faults: [
        '--rounds 0: a number from 1 to 99 is expected',
        "no part 'speed'; there are: packets, filter",
        "no contender 'ipvs'; there are: weir-af-xdp, nftables",
      ],
    });
  });

  it.each([['--fast'], ['filter'], ['--rounds', '1.5'], ['--rounds', '100'], ['--only', '']])(
    'refuses %s %s',
    (...args) => {
      expect(read(...args)).toHaveProperty('faults');
    },
  );

  it('helps, with every name', () => {
    expect(read('--help')).toBe('help');
    expect(read('-h', '--quick')).toBe('help');
    const text = usage(CHOICES);
    for (const { name } of [...CHOICES.parts, ...CHOICES.contenders]) expect(text).toContain(name);
  });
});
