import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { ProbeSlots } from './probe-slots.ts';

let slots: ProbeSlots;
afterEach(() => slots.close());

it('lets begin no more than so many per second, the longest waiting first', () => {
  let nowMs = 0;
  slots = new ProbeSlots(1000, 100, () => nowMs);
  const begun: number[] = [];
  // Five at once, as many as one twentieth of a second allows.
  for (let i = 0; i < 20; i++) slots.ask(() => begun.push(i));
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  nowMs = 30;
  slots.release();
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  // A long time is worth no more than a burst.
  nowMs = 60_000;
  slots.release();
  expect(begun).toHaveLength(13);
});

it('comes to those who wait by itself, and to nobody after the end', async () => {
  slots = new ProbeSlots(1000, 200);
  let begun = 0;
  for (let i = 0; i < 30; i++) slots.ask(() => begun++);
  expect(begun).toBe(10);
  const deadline = performance.now() + 20_000;
  while (begun < 30 && performance.now() < deadline) await sleep(5);
  expect(begun).toBe(30);
  for (let i = 0; i < 30; i++) slots.ask(() => begun++);
  slots.close();
  const atEnd = begun;
  await sleep(50);
  expect(begun).toBe(atEnd);
});

it('without a rate only the slots count', () => {
  slots = new ProbeSlots(3);
  let begun = 0;
  for (let i = 0; i < 10; i++) slots.ask(() => begun++);
  expect(begun).toBe(3);
  slots.release();
  expect([begun, slots.inUse]).toEqual([4, 3]);
});
