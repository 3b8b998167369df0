// Holds every function that runs per packet (`@hot` in its doc comment) to the rules of
// docs/reference/hot-path.md, on the program's syntax trees (test/support/hot-rules.ts). What is not as
// the rules want it stands here with its reason; an exception that nothing needs any more is a fault.

import { describe, expect, it } from 'vitest';
import { WAYS } from '../../bench/micro/writing-ways.ts';
import { HotRules, type Violation } from '../support/hot-rules.ts';
import { filesBelow, isTestFile, readText } from '../support/source-text.ts';

/** Calls from hot functions to what is not hot, by the name called: these run seldom. */
const RARE_CALLS: Readonly<Record<string, string>> = {
  'SwitchingProcessor.enterTables': 'only when a new table was published',
  'SwitchingProcessor.reclaimSuspects': 'once in the life of a process',
  'Announcer.begin': 'only when an address or a link is new',
  'ArpStage.announce': 'some frames when an address is new',
  'AfPacketQueue.checkSocket': 'one system call at every so many polls',
  'AfPacketQueue.noteSendError': 'only when the kernel refuses to send',
  'Applications.ask': 'the code of an application, which may throw: only for packets it asks for',
  'Applications.tick': 'the code of an application, which may throw: as often as it asks for',
  'Applications.fault': 'only when an application has made no packet of a packet',
  'Applications.refresh': 'when an application is switched off',
  'Applications.end': 'when another processor has hung in an application',
  'LoadedApplication.stoodStill':
    'when a turn with an application in it has lasted for most of a second',
  'LoadedApplication.overran': 'only when an application has taken more time than it may',
  Waker: 'given by main.ts: one system call for a processor that sleeps, at most once per turn',
};

/** Classes that are called by way of a hot interface and need not be fast. */
const SLOW_KINDS: Readonly<Record<string, string>> = {
  'src/netif/fault-injector.ts': 'stands around another kind in tests, to lose and damage frames',
  'src/netif/pcap.ts': 'reads and writes files',
};

function exceptionOf({ file, rule }: Violation): string | undefined {
  const called = /^calls (.*), which is not hot$/.exec(rule)?.[1];
  if (called !== undefined && called in RARE_CALLS) return called;
  return rule.startsWith('implements ') && file in SLOW_KINDS ? file : undefined;
}

describe('hot functions of the program', () => {
  const paths = filesBelow('src', '.ts').filter((path) => !isTestFile(path));
  const rules = new HotRules(new Map(paths.map((path) => [path, readText(path)])));

  it('are found', () => {
    const names = rules.functions.map(({ source, name }) => `${source.path} ${name}`);
    expect(names.length).toBeGreaterThan(350);
    expect(names).toContain('src/wire/ipv4.ts isComplete');
    expect(names).toContain('src/switching/packet-engine.ts PacketEngine.poll');
  });

  it('keep the rules', () => {
    const faults = rules.violations
      .filter((violation) => exceptionOf(violation) === undefined)
      .map(({ file, line, inFunction, rule }) => `${file}:${line} ${inFunction}: ${rule}`);
    expect(faults).toEqual([]);
  });

  it('need every exception that is listed', () => {
    const used = new Set(rules.violations.map(exceptionOf));
    const listed = [RARE_CALLS, SLOW_KINDS].flatMap((each) => Object.keys(each));
    expect(listed.filter((name) => !used.has(name))).toEqual([]);
  });
});

/** Rules broken by a hot method of class A, whose file imports from another. */
function broken(body: string, parameters = 'a: number, b: B'): string[] {
  const files = new Map([
    [
      'src/a.ts',
      [
        "import { type B, cold, type Contract, hot, libc } from './b.ts';",
        "import * as b from './b.ts';",
        'export class A {',
        '  private x = 0;',
        '  private readonly list: readonly B[] = [];',
        '  private readonly maybe: (B | null)[] = [];',
        '  private readonly view: DataView;',
        '  private readonly words = new Int32Array(4);',
        '  private readonly contract: Contract;',
        '  private readonly act: () => void;',
        '  /** Does it. @hot */',
        `  private run(${parameters}): number {\n${body}\n  }`,
        '}',
      ].join('\n'),
    ],
    [
      'src/b.ts',
      [
        'export interface Contract { /** @hot */ hot(): number; cold(): number; }',
        'export class B {',
        '  readonly child: B;',
        '  /** @hot */ get warm(): number { return 1; }',
        '  get cool(): number { return 1; }',
        '  /** @hot */ hot(): number { return 1; }',
        '  cold(): B { return this; }',
        '}',
        '/** @hot */ export function hot(a: number): number { return a; }',
        'export function cold(a: number): number { return a; }',
        'export const libc = { /** @hot */ send: declare<(a: number) => number>(), slow: declare<() => void>() };',
      ].join('\n'),
    ],
  ]);
  return new HotRules(files).violations.map(({ rule }) => rule);
}

describe('the checker finds', () => {
  it.each([
    ['an object literal', 'const c = { d: 1 };'],
    ['an array literal', 'hot([1]);'],
    ['a closure', 'const c = () => 1;'],
    ['a closure', 'const c = function () { return 1; };'],
    ['a closure', 'function c() { return 1; }'],
    ['a class', 'class C {}'],
    ['a template string', 'const c = `x`;'],
    ['a string', "const c = 'x';"],
    ['a regular expression', 'const c = /x/;'],
    ['a spread', 'hot(...b);'],
    ['an array taken apart', 'const [c] = b;'],
    ['a result taken apart', 'const { child } = hot(a);'],
    ['an object taken apart into more than its fields', 'const { x = 1 } = this;'],
    ['an object taken apart into more than its fields', 'const { ...rest } = this;'],
    ['an object taken apart into old variables', '({ a } = this);'],
    ['new', 'const c = new DataView(b);'],
    ['BigInt', 'const c = 1n;'],
    ['an exception', 'try { hot(a); } catch {}'],
    ['an exception', 'throw a;'],
    ['an iterator', 'for (const c of this.list) hot(a);'],
    ['an iterator', 'for (const c in this.list) hot(a);'],
    ["'arguments'", 'return arguments.length;'],
    ["'in'", 'return a in this;'],
    ["'instanceof'", 'return a instanceof b;'],
    ['delete', 'delete this.x;'],
    ['an optional call', 'b?.hot();'],
    ['>>> 0 kept in a field', 'this.x = a >>> 0;'],
    ['calls cold, which is not hot', 'return cold(a);'],
    ['calls B.cold, which is not hot', 'b.cold();'],
    ['calls B.cold, which is not hot', 'this.list[a].cold();'],
    ['calls B.cold, which is not hot', 'const { list } = this; list[0].child.cold();'],
    ['calls B.cold, which is not hot', 'const c = this.maybe[a]; if (c !== null) c.cold();'],
    ['calls B.cool, which is not hot', 'return b.cool;'],
    ['calls B.cool, which is not hot', 'const { cool } = b; return cool;'],
    ['calls Contract.cold, which is not hot', 'return this.contract.cold();'],
    ['calls slow, which is not hot', 'libc.slow();'],
    ['calls function type, which is not hot', 'this.act();'],
    ['calls Int32Array.subarray, which is not hot', 'const c = this.words.subarray(1);'],
    ['calls Array.map, which is not hot', 'this.list.map(hot);'],
    ['calls DataView.getBigInt64, which is not hot', 'this.view.getBigInt64(a);'],
    ['calls Math.random, which is not hot', 'return Math.random();'],
    ['calls Date.now, which is not known', 'return Date.now();'],
    ['calls BigInt, which is not known', 'return BigInt(a);'],
    ['calls a, which is not known', 'a();'],
  ])('%s: %s', (rule, body) => {
    expect(broken(body)).toEqual([rule]);
  });

  it('a call within an argument, an index or an object that is called', () => {
    expect(broken('hot(this.words[cold(a)]);')).toHaveLength(1);
    expect(broken('b.cold().hot();')).toHaveLength(1);
  });

  it('a function by way of its whole module', () => {
    const body = 'return this.x;';
    expect(broken(body, 'a: number, c = b.cold(1)')).toEqual(['calls cold, which is not hot']);
    expect(broken(body, 'a: number, c = b.hot(1)')).toEqual([]);
  });

  it('parameters that are gathered or taken apart, and functions that wait', () => {
    expect(broken('return 1;', '...a: number[]')).toEqual(['a parameter taken apart']);
    expect(broken('return 1;', '{ child }: B')).toEqual(['a parameter taken apart']);
    const rulesOf = (text: string) =>
      new HotRules(new Map([['src/a.ts', text]])).violations.map(({ rule }) => rule);
    expect(rulesOf('/** @hot */ async function a() {}')).toEqual(['waiting']);
    expect(rulesOf('/** @hot */ function* a() {}')).toEqual(['waiting']);
    expect(rulesOf('/** @hot */ const a = 1;')).toEqual([
      'a mark that stands before nothing that could be hot',
    ]);
    expect(
      rulesOf('interface I { /** @hot */ a(): void }\nclass C implements I { a() {} }'),
    ).toEqual(['implements I.a, which is hot, and is not marked so']);
  });

  it('file and line', () => {
    const text = '\n/**\n * Does it. @hot\n */\nexport function a() {\n\n  return [];\n}\n';
    const { violations } = new HotRules(new Map([['src/a.ts', text]]));
    const rule = 'an array literal';
    expect(violations).toEqual([{ file: 'src/a.ts', line: 7, inFunction: 'a', rule }]);
  });
});

describe('the checker lets pass', () => {
  it.each([
    ['fields taken out of this', 'const { x, words } = this; return words[x];'],
    ['fields taken out of an element', 'const { child } = this.list[a]; return child.hot();'],
    ['loops and arithmetic', 'for (let i = 0; i < a; i++) this.x = (this.x + i) | 0;'],
    ['hot functions', 'return hot(a) + b.hot() + this.contract.hot() + b.child.warm;'],
    ['elements of arrays with null', 'const c = this.maybe[a]; return c === null ? 0 : c.hot();'],
    ['a choice between objects', 'const c = a > 0 ? b : this.list[0]; return c.hot();'],
    ['builtins of numbers', 'this.view.setInt32(a, Math.imul(a, Atomics.load(this.words, 0)));'],
    ['moving bytes', 'this.words.copyWithin(0, 1, 2);'],
    ['system calls that are marked', 'return libc.send(a);'],
    ['comparing strings', "return a === 'x' ? 1 : 0;"],
    ['>>> 0 in a local or an array', 'const c = a >>> 0; this.words[0] = a >>> 0; return c;'],
    ['its own method', 'return this.run(a, b);'],
  ])('%s', (_, body) => {
    expect(broken(body)).toEqual([]);
  });
});

describe('docs/reference/hot-path.md', () => {
  it('has every way of writing that is measured, marked as the checker has it, and no other', () => {
    const [, table] = readText('docs/reference/hot-path.md').split('## What each way');
    const rows = [...table.matchAll(/^\| ([^|]+) (?:\| *[\d.]* ){4}\| (×?) *\|$/gm)];
    const inDocument = rows.map(([, name, mark]) => [name, mark === '×']);
    expect(inDocument).toEqual(WAYS.map(({ name, isBanned }) => [name, isBanned]));
  });
});
