// Holds the program's structure to its rules: which folder may import which (the table in
// docs/architecture.md is the rule; it is read here), what only src/sys may do, the shape of files, and
// what hot functions may contain. Everything is textual (test/support/source-text.ts): it sees what is
// written, not what a call leads to; a test that sends a million packets would see the rest.

import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  filesBelow,
  functionsOf,
  importsOf,
  isTestFile,
  readText,
  type SourceFunction,
  withoutComments,
} from '../support/source-text.ts';

const ALL = filesBelow('src', '.ts');
const PROGRAM = ALL.filter((path) => !isTestFile(path));

/** 'wire' for 'src/wire/ipv4.ts'. */
function folderOf(path: string): string {
  return path.split('/')[1];
}

/** Rows of the folder table of docs/architecture.md, top to bottom: folder → what it may import. */
function folderRules(): Map<string, readonly string[]> {
  const rules = new Map<string, readonly string[]>();
  const rows = readText('docs/architecture.md').matchAll(/^\| `(\w+)\/` \|[^|]*\| ([^|]*) \|$/gm);
  for (const [, folder, imports] of rows) {
    rules.set(
      folder,
      [...imports.matchAll(/`(\w+)`/g)].map(([, name]) => name),
    );
  }
  return rules;
}

describe('folders', () => {
  const rules = folderRules();
  const order = [...rules.keys()];

  it('the table in docs/architecture.md names every folder of src, and no other', () => {
    expect([...order].sort()).toEqual([...new Set(PROGRAM.map(folderOf))].sort());
  });

  it('the table itself points only upwards', () => {
    const downwards = order.flatMap((folder, row) =>
      rules
        .get(folder)!
        .filter((imported) => !order.slice(0, row).includes(imported))
        .map((imported) => `${folder} → ${imported}`),
    );
    expect(downwards).toEqual([]);
  });

  it('the table keeps the data plane and the control plane apart', () => {
    expect(rules.get('switching')).not.toContain('control');
    expect(rules.get('control')).not.toContain('switching');
  });

  it('every import is one that the table allows', () => {
    const used = new Set<string>();
    const forbidden: string[] = [];
    for (const path of PROGRAM) {
      for (const imported of importsOf(path).filter((name) => name.startsWith('src/'))) {
        const [from, to] = [folderOf(path), folderOf(imported)];
        if (from === to) continue;
        used.add(`${from} → ${to}`);
        if (!rules.get(from)?.includes(to)) forbidden.push(`${path} imports ${imported}`);
      }
    }
    expect(forbidden).toEqual([]);
    const unused = order.flatMap((from) =>
      rules
        .get(from)!
        .map((to) => `${from} → ${to}`)
        .filter((pair) => !used.has(pair)),
    );
    // What is allowed and not used is a door that somebody will walk through one day.
    expect(unused).toEqual([]);
  });

  it('not even tests join switching and control, and nobody imports an entry point', () => {
    const faults: string[] = [];
    for (const path of ALL) {
      for (const imported of importsOf(path)) {
        const pair = `${folderOf(path)} ${imported.startsWith('src/') ? folderOf(imported) : ''}`;
        if (pair === 'switching control' || pair === 'control switching') faults.push(path);
        if (/^src\/(switching|control)\/main\.ts$/.test(imported)) faults.push(path);
      }
    }
    expect(faults).toEqual([]);
  });

  it('only src/sys imports koffi', () => {
    const importers = [...ALL, ...filesBelow('test', '.ts'), ...filesBelow('bench', '.ts')]
      .filter((path) => importsOf(path).includes('koffi'))
      .filter((path) => !path.startsWith('src/sys/'));
    expect(importers).toEqual([]);
  });

  it('wire and distribution are pure: no builtin, no package, no state of a module', () => {
    const faults: string[] = [];
    for (const path of PROGRAM.filter((each) => /^src\/(wire|distribution)\//.test(each))) {
      const code = withoutComments(readText(path));
      for (const imported of importsOf(path)) {
        if (!imported.startsWith('src/')) faults.push(`${path} imports ${imported}`);
      }
      const impure = /^let |\b(?:process|performance|console|Date)\b|Math\.random/m.exec(code);
      if (impure !== null) faults.push(`${path}: ${impure[0].trim()}`);
    }
    expect(faults).toEqual([]);
  });

  it('no import leads in a circle from file to file', () => {
    // Imports of types alone are gone when the program runs.
    const withoutTypes = (text: string) => text.replace(/^(?:im|ex)port type [^;]*;/gm, '');
    const graph = new Map(
      PROGRAM.map((path) => [path, importsOf(path, withoutTypes(readText(path)))]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, way: readonly string[]): void => {
      if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(' → '));
      if (done.has(path) || way.includes(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
      done.add(path);
    };
    for (const path of PROGRAM) visit(path, []);
    expect(circles).toEqual([]);
  });
});

describe('files', () => {
  const MAX_LINES = 400;
  /** Longer ones, each with its reason. */
  const LONG_FILES: Readonly<Record<string, string>> = {
    'src/control/config/parse.test.ts': 'a table of faulty files, one case after the other',
    'src/tables/neighbor-table.ts': 'one structure without locks: readers and writers side by side',
    'src/tables/connection-table.test.ts': 'the whole life of a record, against a Map',
  };
  const OWN = [...ALL, ...filesBelow('test', '.ts'), ...filesBelow('bench', '.ts')];

  it(`have at most ${MAX_LINES} lines`, () => {
    const long = OWN.filter((path) => readText(path).split('\n').length > MAX_LINES + 1);
    expect(long.filter((path) => !(path in LONG_FILES))).toEqual([]);
    const isShort = (path: string) => readText(path).split('\n').length < MAX_LINES - 20;
    const stale = Object.keys(LONG_FILES).filter(isShort);
    expect(stale, 'exceptions that are not needed any more').toEqual([]);
  });

  it('have lines of at most 140 columns', () => {
    // biome breaks code at 100; what it cannot break (a long text, a comment) may run on a little.
    const wide = PROGRAM.flatMap((path) =>
      readText(path)
        .split('\n')
        .flatMap((line, i) => (line.length > 140 ? [`${path}:${i + 1}`] : [])),
    );
    expect(wide).toEqual([]);
  });

  it('have names that say something, in kebab-case', () => {
    const faults = OWN.filter((path) => {
      const name = posix.basename(path).split('.')[0];
      return !/^[a-z0-9-]+$/.test(name) || /^(utils?|helpers?|core|common|misc)$/.test(name);
    });
    expect(faults).toEqual([]);
  });

  it('open with a comment of three lines or more', () => {
    const MIN_LINES = 3;
    const faults = PROGRAM.filter((path) => {
      const lines = readText(path).split('\n');
      return lines.slice(0, MIN_LINES).some((line) => !line.startsWith('//'));
    });
    expect(faults).toEqual([]);
  });
});

describe('functions', () => {
  const MAX_LINES = 70;
  const LONG_FUNCTIONS: Readonly<Record<string, string>> = {
    'src/switching/processor.ts constructor': 'one part after the other is made and joined',
  };

  it(`have at most ${MAX_LINES} lines`, () => {
    const long = PROGRAM.flatMap((path) => functionsOf(path))
      .filter(({ length }) => length > MAX_LINES)
      .map(({ file, name }) => `${file} ${name}`);
    expect(long.filter((name) => !(name in LONG_FUNCTIONS))).toEqual([]);
    expect(Object.keys(LONG_FUNCTIONS).filter((name) => !long.includes(name))).toEqual([]);
  });

  it('are found at all', () => {
    const found = PROGRAM.flatMap((path) => functionsOf(path));
    expect(found.length).toBeGreaterThan(600);
    const lookup = found.find(
      ({ file, name }) => file.endsWith('ipv4.ts') && name === 'isComplete',
    );
    expect(lookup).toMatchObject({ isHot: true });
  });
});

/** Constructs that allocate or throw, as they look in formatted code without comments. */
const BANNED: readonly (readonly [string, RegExp])[] = [
  ['an object literal', /(?:[=(,?:]|\breturn)\s*\{/],
  ['an array literal', /(?:[=(,?:]|\breturn)\s*\[/],
  ['a closure', /=>|\bfunction\b/],
  ['a template string', /`/],
  ['a string', /''/],
  ['new', /\bnew\s/],
  ['an exception', /\b(?:try|catch|throw)\b/],
  ['BigInt', /\bBigInt|\b\d+n\b/],
  ['a view or copy', /\.(?:subarray|slice)\(/],
  ['a spread', /\.\.\./],
  ['waiting', /\b(?:async|await|yield)\b/],
  ['the clock or randomness', /\bDate\b|Math\.random/],
  ['an iterator', /\bfor \((?:const|let) [^;]* (?:of|in) /],
  ['a result taken apart', /const \[/],
];

/** Where a hot function may do so all the same, with the reason. */
const HOT_EXCEPTIONS: Readonly<Record<string, string>> = {};

/** Builtins without allocation, numbers in and a number out; and system calls of src/sys. */
const HOT_BUILTINS =
  /^(?:(?:Math|Atomics|libc)\.\w+|[gs]et(?:Ui|I)nt(?:8|16|32)|copyWithin|if|for|while|switch|return)$/;

/** What hot functions may call although it is not marked so itself, with the reason. */
const HOT_CALLS: Readonly<Record<string, string>> = {
  processorWord: 'index arithmetic of memory/region.ts',
  interfaceWord: 'index arithmetic of memory/region.ts',
  announce: 'housekeeping: some frames when an address is new',
  enterTables: 'only when a new table was published',
  reclaimSuspects: 'once in the life of a process',
  checkSocket: 'a system call, at every so many polls',
  noteSendError: 'only when the kernel refuses to send',
  wake: 'one system call for a processor that sleeps, once per turn',
};

/** Names that a function calls: `Math.imul` with the object, all others without. */
function callsOf({ body }: SourceFunction): string[] {
  const calls = withoutComments(body).matchAll(/(?:\b(Math|Atomics|libc)\.|\b)(\w+)\(/g);
  return [...calls].map(([, object, name]) => (object === undefined ? name : `${object}.${name}`));
}

/** The first banned construct in a hot function, or undefined. */
function bannedIn({ body }: SourceFunction): string | undefined {
  // Taking fields out of `this` or of a fixed object allocates nothing.
  const code = withoutComments(body).replace(/const \{[^}]*\} = /g, 'const fields = ');
  return BANNED.find(([, pattern]) => pattern.test(code))?.[0];
}

describe('hot functions', () => {
  const hot = PROGRAM.flatMap((path) => functionsOf(path)).filter(({ isHot }) => isHot);

  it('are found at all', () => {
    // As many as there are marks, but for those of declarations without a body.
    const marks = PROGRAM.reduce(
      (sum, path) => sum + (readText(path).match(/@hot\b/g)?.length ?? 0),
      0,
    );
    expect(hot.length).toBeGreaterThan(marks * 0.95);
  });

  it('contain nothing that allocates or throws, as far as a text search can see', () => {
    const faults: string[] = [];
    for (const each of hot) {
      const what = bannedIn(each);
      const name = `${each.file} ${each.name}`;
      if (what !== undefined && !(name in HOT_EXCEPTIONS)) {
        faults.push(`${each.file}:${each.line} ${each.name}: ${what}`);
      }
    }
    expect(faults).toEqual([]);
  });

  it('call only hot functions, builtins that allocate nothing, and what is listed here', () => {
    // By name: a function that is not hot passes if another one of its name is.
    const names = new Set(hot.map(({ name }) => name));
    const used = new Set<string>();
    const faults: string[] = [];
    for (const each of hot) {
      for (const name of callsOf(each)) {
        used.add(name);
        if (names.has(name) || HOT_BUILTINS.test(name) || name in HOT_CALLS) continue;
        faults.push(`${each.file}:${each.line} ${each.name} calls ${name}`);
      }
    }
    expect(faults).toEqual([]);
    expect(Object.keys(HOT_CALLS).filter((name) => !used.has(name) || names.has(name))).toEqual([]);
  });

  it.each([
    ['an object literal', 'const a = { b: 1 };'],
    ['an array literal', 'call([1, 2]);'],
    ['a closure', 'this.each((a) => a + 1);'],
    ['a template string', 'name(`x`);'],
    ['a string', "name('x');"],
    ['new', 'this.x = new Int32Array(4);'],
    ['an exception', 'throw error;'],
    ['BigInt', 'const a = 1n;'],
    ['a view or copy', 'const a = bytes.subarray(1);'],
    ['a spread', 'call(...list);'],
    ['an iterator', 'for (const a of list) b += a;'],
    ['a result taken apart', 'const [a, b] = pair;'],
  ])('the search finds %s', (what, body) => {
    const sample = { file: '', name: '', line: 1, length: 1, isHot: true, body };
    expect(bannedIn(sample)).toBe(what);
  });

  it('the search lets plain code pass', () => {
    const body = [
      'const { words, base } = this;',
      "// a 'comment' with { } and =>",
      'for (let i = 0; i < 4; i++) words[base + i] = this.get(words[i]);',
      'if (words[0] === 0) {',
      '  return -1;',
      '}',
    ].join('\n');
    expect(bannedIn({ file: '', name: '', line: 1, length: 1, isHot: true, body })).toBeUndefined();
  });
});
