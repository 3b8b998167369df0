// Figs. 12 and 13: the steps by which an application sends and receives stand in the code where they are
// taken, and not only in the contract that lists them.

import { expect, it } from 'vitest';
import { filesBelow, isTestFile, readText } from '../support/source-text.ts';

const STEPS = [321, 322, 323, 324, 325, 326, 341, 342, 343, 344, 345, 346, 347];
const LIST = 'src/apps/contract.ts';

it('every step of sending and receiving is marked where it happens', () => {
  const files = filesBelow('src/switching', '.ts').filter((path) => !isTestFile(path));
  const comments = [...files, 'src/netif/contract.ts']
    .flatMap((path) => readText(path).split('\n'))
    .filter((line) => /^\s*(\/\/|\*|\/\*\*)/.test(line))
    .join('\n');
  const isMarked = (step: number) => new RegExp(`\\b${step}\\b`).test(comments);
  expect(STEPS.filter((step) => !isMarked(step))).toEqual([]);
  expect(STEPS.filter((step) => step !== 343 && !readText(LIST).includes(`${step}`))).toEqual([]);
});
