// Holds the program's structure to its rules: which folder may import which (the table in
// docs/architecture.md is the rule; it is read here), what only src/sys may do, and the shape of files
// and functions. Everything is textual (test/support/source-text.ts); what hot functions may contain is
// held against syntax trees, in hot-path.test.ts.

import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  filesBelow,
  functionsOf,
  importsOf,
  isTestFile,
  readText,
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
  const rows = readText('docs/architecture.md').matchAll(
    /^\| `([\w-]+)\/` \|[^|]*\| ([^|]*) \|$/gm,
  );
  for (const [, folder, imports] of rows) {
    rules.set(
      folder,
      [...imports.matchAll(/`([\w-]+)`/g)].map(([, name]) => name),
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
    expect(lookup).toMatchObject({ line: expect.any(Number), length: expect.any(Number) });
  });
});
