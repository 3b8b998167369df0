// Main memory as a process sees it that will be killed at its n-th write: a view of the same bytes
// whose writes are counted, plain or atomic, and that throws `Killed` instead of the n-th. Running
// an operation again and again with n = 1, 2, 3 … leaves behind every state that a kill can leave.
// For tests of shared structures only. Reads are not counted.

import { MainMemory } from '../../src/memory/region.ts';

export class Killed extends Error {
  constructor() {
    super('killed');
    this.name = 'Killed';
  }
}

/** The process side of it: `memory` goes to the classes under test. */
export interface KillableProcess {
  readonly memory: MainMemory;
  /** Lets `writes` more writes happen; Infinity for no end. */
  allow(writes: number): void;
  /** Writes made since the last `allow`. */
  writes(): number;
}

const targets = new WeakMap<object, { array: Int32Array; tick: () => void }>();
const realAtomics = globalThis.Atomics;

const WRITING = new Set(['store', 'compareExchange', 'exchange', 'add', 'sub', 'and', 'or', 'xor']);

/** Atomics that also work on the views made here. Install with vi.stubGlobal('Atomics', …). */
export const countingAtomics: typeof Atomics = new Proxy(realAtomics, {
  get(real, name) {
    const operation = Reflect.get(real, name);
    if (typeof operation !== 'function') return operation;
    return (array: Int32Array, ...rest: number[]) => {
      const target = targets.get(array);
      if (target !== undefined && WRITING.has(String(name))) target.tick();
      return operation(target?.array ?? array, ...rest);
    };
  },
});

/** Another process on the same bytes as `memory`. */
export function killableProcess(memory: MainMemory): KillableProcess {
  let left = Number.POSITIVE_INFINITY;
  let done = 0;
  const tick = (): void => {
    if (left === 0) throw new Killed();
    left -= 1;
    done += 1;
  };
  const counted = <T extends Int32Array | Float64Array>(array: T): T =>
    new Proxy(array, {
      get(real, name) {
        const value = Reflect.get(real, name, real);
        if (name === 'fill') {
          return (...rest: [number, number, number]) => {
            tick();
            return real.fill(...rest);
          };
        }
        return typeof value === 'function' ? value.bind(real) : value;
      },
      set(real, name, value) {
        tick();
        return Reflect.set(real, name, value, real);
      },
    });
  const seen = new MainMemory(memory.buffer, memory.layout);
  const words = counted(memory.words);
  targets.set(words, { array: memory.words, tick });
  Object.assign(seen, { words, doubles: counted(memory.doubles) });
  return {
    memory: seen,
    allow(writes) {
      left = writes;
      done = 0;
    },
    writes: () => done,
  };
}
