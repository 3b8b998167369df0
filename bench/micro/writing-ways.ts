// The ways of writing that bench/micro/writing.ts measures: each a loop that does one thing `count` times
// and gives a number that depends on all of them, so that nothing can be left out. What a loop needs
// stands outside of it. Biome would write some of these better; that is what they are here for.

import { performance } from 'node:perf_hooks';
import { hrtime } from 'node:process';
import { clockMs } from '../../src/sys/clock.ts';
import { kickTransmit, libc } from '../../src/sys/libc.ts';

export interface Way {
  readonly group: string;
  readonly name: string;
  /** Rules in hot functions forbid it. */
  readonly isBanned: boolean;
  /** Does it `count` times. */
  readonly run: (count: number) => number;
}

const MASK = 63;
const words = Int32Array.from({ length: 64 }, (_, i) => i * 7);
const doubles = new Float64Array(64);
const unsigned = new Uint32Array(64).fill(0x9000_0000);
const bytes = new Uint8Array(words.buffer);
const view = new DataView(words.buffer);
const bigWords = new BigUint64Array(words.buffer);
const numbers = Array.from(words);

class Fields {
  integer = 0;
  fraction = 0.5;
  whole = 0x9000_0000;
  readonly view = view;
  readonly words = words;
  static offset = 4;
  add(amount: number): number {
    this.integer = (this.integer + amount) | 0;
    return this.integer;
  }
}
const fields = new Fields();
let moduleInteger = 0;
let moduleWhole = 0x9000_0000;

/** Six classes, the same but for their names: what an interface's implementations are to V8. */
class A {
  readonly a = 1;
  value(i: number): number {
    return (this.a + i) | 0;
  }
}
class B {
  readonly b = 2;
  value(i: number): number {
    return (this.b + i) | 0;
  }
}
class C {
  readonly c = 3;
  value(i: number): number {
    return (this.c + i) | 0;
  }
}
class D {
  readonly d = 4;
  value(i: number): number {
    return (this.d + i) | 0;
  }
}
class E {
  readonly e = 5;
  value(i: number): number {
    return (this.e + i) | 0;
  }
}
const SHAPES = [A, B, C, D, E];

let loops = 0;

/**
 * A loop with a sum, of a text of its own each time: V8 keeps what it has learnt of a call with the text
 * that the call stands in, and would not inline what so many ways have in common.
 */
function loopOf<Given>(call: string, given: Given): (count: number) => number {
  const text = `// ${loops++}
    let sum = 0;
    for (let i = 0; i < count; i++) sum = (sum + ${call}) | 0;
    return sum;`;
  const run = new Function('given', 'count', text) as (given: Given, count: number) => number;
  return (count) => run(given, count);
}

function callsOfShapes(count: number): (count: number) => number {
  const objects = Array.from({ length: 64 }, (_, i) => new SHAPES[i % count]());
  return loopOf('given[i & 63].value(i)', objects);
}

function sourcePort(of: DataView, offset: number): number {
  return of.getUint16(offset);
}
function pair(i: number): { readonly a: number; readonly b: number } {
  return i < 0 ? fixedPair : { a: i, b: i + 1 };
}
const fixedPair = { a: 1, b: 2 };
function list(i: number): readonly number[] {
  return [i, i + 1];
}
function sum(...all: number[]): number {
  return all[0] + all[1];
}
function sumOfTwo(a: number, b: number): number {
  return (a + b) | 0;
}
let kept: unknown;
const keyed = new Map<number, number>(numbers.map((_, i) => [i, i]));
const maybe: Fields | undefined = fields;
const two: [number, number] = [3, 4];

function caught(i: number): number {
  try {
    return words[i & MASK];
  } catch {
    return 0;
  }
}
function thrown(i: number): number {
  try {
    if (i >= 0) throw fixedPair;
    return 0;
  } catch {
    return 1;
  }
}
function switched(i: number): number {
  switch (i & 7) {
    case 0:
      return 3;
    case 1:
      return 5;
    case 2:
      return 9;
    case 3:
      return 2;
    case 4:
      return 8;
    case 5:
      return 1;
    default:
      return 0;
  }
}
function chained(i: number): number {
  const k = i & 7;
  if (k === 0) return 3;
  if (k === 1) return 5;
  if (k === 2) return 9;
  if (k === 3) return 2;
  if (k === 4) return 8;
  if (k === 5) return 1;
  return 0;
}
function sumOfList(of: readonly number[]): number {
  let all = 0;
  for (const each of of) all = (all + each) | 0;
  return all;
}
function sumByIndex(of: readonly number[]): number {
  let all = 0;
  for (let i = 0; i < of.length; i++) all = (all + of[i]) | 0;
  return all;
}
function sumByEach(of: readonly number[]): number {
  let all = 0;
  of.forEach((each) => {
    all = (all + each) | 0;
  });
  return all;
}

const allowed = (group: string, name: string, expression: (i: number) => number): Way => ({
  group,
  name,
  isBanned: false,
  run: loopOf('given(i)', expression),
});
const banned = (group: string, name: string, expression: (i: number) => number): Way => ({
  ...allowed(group, name, expression),
  isBanned: true,
});

const MEMORY = 'Memory';
const NUMBERS = 'Numbers and fields';
const CALLS = 'Calls';
const OBJECTS = 'Objects and text';
const OUTSIDE = 'Outside of V8';

export const BASELINE: Way = allowed(MEMORY, 'adding two int32', (i) => (i + 5) | 0);

export const WAYS: readonly Way[] = [
  BASELINE,
  allowed(MEMORY, '`Int32Array`, read', (i) => words[i & MASK]),
  allowed(MEMORY, '`Int32Array`, write', (i) => (words[i & MASK] = i)),
  allowed(MEMORY, '`DataView.getInt32`, network order', (i) => view.getInt32(i & MASK)),
  allowed(MEMORY, '`DataView.getInt32`, little-endian', (i) => view.getInt32(i & MASK, true)),
  allowed(MEMORY, '`DataView` by an accessor function', (i) => sourcePort(view, i & MASK)),
  allowed(MEMORY, 'an int32 from four bytes of a `Uint8Array`', (i) => {
    const at = i & MASK;
    return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }),
  allowed(MEMORY, '`Float64Array`, += 1', (i) => (doubles[i & MASK] += 1)),
  allowed(MEMORY, '`Atomics.load`', (i) => Atomics.load(words, i & MASK)),
  allowed(MEMORY, '`Atomics.store`', (i) => Atomics.store(words, i & MASK, i)),
  allowed(MEMORY, '`Atomics.compareExchange`', (i) => Atomics.compareExchange(words, 0, i, i)),
  allowed(MEMORY, '`copyWithin`, 64 bytes', (i) => bytes.copyWithin(64, i & 31, (i & 31) + 64)[64]),
  banned(MEMORY, '`BigUint64Array`, read and added', (i) => Number(bigWords[i & 31] + 1n)),
  banned(MEMORY, '`subarray`', (i) => bytes.subarray(i & MASK)[0]),
  banned(MEMORY, '`new DataView`', (i) => new DataView(words.buffer, i & MASK).getUint8(0)),

  allowed(NUMBERS, 'int32 field, += 1', () => (fields.integer = (fields.integer + 1) | 0)),
  allowed(
    NUMBERS,
    'int32 variable of the module, += 1',
    () => (moduleInteger = (moduleInteger + 1) | 0),
  ),
  allowed(NUMBERS, 'double in a field, += 0.5', () => (fields.fraction += 0.5)),
  banned(
    NUMBERS,
    '`>>> 0` above 2^31, in a field',
    (i) => (fields.whole = (i | 0x8000_0000) >>> 0),
  ),
  banned(NUMBERS, '`>>> 0` above 2^31, in a variable of the module', (i) => {
    moduleWhole = (i | 0x8000_0000) >>> 0;
    return moduleWhole;
  }),
  allowed(NUMBERS, '`>>> 0` above 2^31, in a `Uint32Array`', (i) => (unsigned[i & MASK] = i >>> 0)),
  allowed(NUMBERS, 'a static field of a class', (i) => Fields.offset + i),
  allowed(NUMBERS, '`Math.imul`', (i) => Math.imul(i, 0x9e3779b1)),
  allowed(NUMBERS, '`*` of int32, made int32 again', (i) => (i * 1103515245) | 0),
  allowed(NUMBERS, '`/`, made int32 again', (i) => (i / 7) | 0),
  allowed(NUMBERS, '`Math.floor(i / 7)`', (i) => Math.floor(i / 7)),
  allowed(NUMBERS, '`%` by a constant', (i) => i % 63),
  banned(NUMBERS, 'BigInt, one addition', (i) => Number(BigInt(i) + 5n)),

  allowed(CALLS, 'function', (i) => sumOfTwo(i, 3)),
  allowed(CALLS, 'method of a class', (i) => fields.add(i)),
  { group: CALLS, name: 'method, 1 shape', isBanned: false, run: callsOfShapes(1) },
  { group: CALLS, name: 'method, 2 shapes', isBanned: false, run: callsOfShapes(2) },
  { group: CALLS, name: 'method, 4 shapes', isBanned: false, run: callsOfShapes(4) },
  { group: CALLS, name: 'method, 5 shapes', isBanned: true, run: callsOfShapes(5) },
  allowed(CALLS, '`switch` of seven', switched),
  allowed(CALLS, 'seven `if`', chained),
  banned(CALLS, '`try` where nothing is thrown', caught),
  banned(CALLS, 'throw and catch', thrown),
  banned(CALLS, 'optional call', (i) => maybe?.add(i) ?? 0),
  banned(CALLS, 'closure made and kept', (i) => {
    const closure = () => i;
    kept = closure;
    return closure();
  }),
  banned(CALLS, 'spread into a call', (i) => {
    two[0] = i;
    return sum(...two);
  }),
  allowed(CALLS, 'array of 64, by index', (i) => sumByIndex(numbers) + i),
  banned(CALLS, 'array of 64, `for … of`', (i) => sumOfList(numbers) + i),
  banned(CALLS, 'array of 64, `forEach`', (i) => sumByEach(numbers) + i),

  allowed(OBJECTS, 'fields of an object taken apart', (i) => {
    const { integer, words: all } = fields;
    return integer + all[i & MASK];
  }),
  banned(OBJECTS, 'object made by a function and left', (i) => {
    const { a, b } = pair(i);
    return a + b;
  }),
  banned(OBJECTS, 'object made and kept', (i) => {
    const made = pair(i);
    kept = made;
    return made.a;
  }),
  banned(OBJECTS, 'array returned and taken apart', (i) => {
    const made = list(i);
    kept = made;
    const [a, b] = made;
    return a + b;
  }),
  banned(OBJECTS, 'text made of a number', (i) => {
    const text = `${i & 1023}:${i & 7}`;
    kept = text;
    return text.length;
  }),
  banned(OBJECTS, '`Map.get`, small integers', (i) => keyed.get(i & MASK) ?? 0),

  allowed(OUTSIDE, 'koffi, a function without system call', () => libc.getpagesize()),
  allowed(OUTSIDE, 'koffi, a system call that fails at once', () => kickTransmit(-1)),
  allowed(OUTSIDE, '`clockMs` of src/sys', () => clockMs()),
  banned(OUTSIDE, '`performance.now`', () => performance.now() | 0),
  banned(OUTSIDE, '`Date.now`', () => Date.now() | 0),
  banned(OUTSIDE, '`process.hrtime.bigint`', () => Number(hrtime.bigint() & 1023n)),
];

/** So that what was kept is needed. */
export function keptSize(): number {
  return String(kept).length + moduleWhole;
}
