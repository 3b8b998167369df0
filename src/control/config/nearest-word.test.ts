import { describe, expect, it } from 'vitest';
import { nearestWord } from './nearest-word.ts';

describe('nearestWord', () => {
  it.each([
    ['adress', ['address', 'addresses'], 'address'],
    ['prot', ['protocol', 'port'], 'port'],
    ['rate_limits', ['rate-limits', 'limits'], 'rate-limits'],
    ['TCP', ['udp', 'tcp'], 'tcp'],
    ['wrrr', ['weighted-round-robin', 'wrr'], 'wrr'],
    ['colour', ['name', 'address'], undefined],
    ['', ['name'], undefined],
    ['x'.repeat(100_000), ['name'], undefined],
  ])('%s among %s is %s', (word, candidates, nearest) => {
    expect(nearestWord(word, candidates)).toBe(nearest);
  });
});
