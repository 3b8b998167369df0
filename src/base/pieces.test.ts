import { expect, it } from 'vitest';
import { atOnce, inPieces } from './pieces.ts';

function* steps(seen: number[], count: number): Generator<void, string> {
  for (let i = 0; i < count; i++) {
    seen.push(i);
    yield;
  }
  return 'done';
}

it('work in pieces lets others have their turn between them', async () => {
  const seen: number[] = [];
  const turns: number[] = [];
  const others = (): void => {
    turns.push(seen.length);
    if (seen.length < 3) setImmediate(others);
  };
  setImmediate(others);
  expect(await inPieces(steps(seen, 3))).toBe('done');
  expect(seen).toEqual([0, 1, 2]);
  expect(turns.length).toBeGreaterThanOrEqual(3);
  expect(turns[0]).toBe(1);
});

it('work at once does not', () => {
  const seen: number[] = [];
  setImmediate(() => seen.push(99));
  expect(atOnce(steps(seen, 3))).toBe('done');
  expect(seen).toEqual([0, 1, 2]);
});

it('what goes wrong in a piece is for whoever asked', async () => {
  const failing = function* (): Generator<void, void> {
    yield;
    throw new Error('in the second piece');
  };
  await expect(inPieces(failing())).rejects.toThrow('in the second piece');
});
