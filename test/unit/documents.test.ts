// Holds the documents to the code, both ways: error codes, reasons, keys of the configuration, the
// paths that documents name, and the examples, which must be configurations without a fault.

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/base/errors.ts';
import { needsRestart } from '../../src/control/config/changes.ts';
import { parseConfiguration } from '../../src/control/config/parse.ts';
import { KNOWN_KEYS } from '../../src/control/config/schema.ts';
import { REASONS, VERDICTS } from '../../src/memory/reasons.ts';
import { configurationKeys } from '../support/configuration-reference.ts';
import {
  filesBelow,
  functionsOf,
  isTestFile,
  readText,
  TOP,
  withoutComments,
} from '../support/source-text.ts';

const PROGRAM = filesBelow('src', '.ts').filter((path) => !isTestFile(path));
const DOCUMENTS = ['README.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')].filter((path) =>
  existsSync(join(TOP, path)),
);

describe('docs/reference/errors.md', () => {
  const documented = [...readText('docs/reference/errors.md').matchAll(/^## (ERR_\w+)$/gm)].map(
    ([, code]) => code,
  );

  it('has every code, in the order of src/base/errors.ts, and no other', () => {
    expect(documented).toEqual([...ERROR_CODES]);
  });

  it('says of each what to do', () => {
    const sections = readText('docs/reference/errors.md').split(/^## /m).slice(1);
    expect(sections.filter((text) => !text.includes('**Do:**'))).toEqual([]);
  });

  it('every code is given somewhere in the program', () => {
    const program = PROGRAM.filter((path) => path !== 'src/base/errors.ts')
      .map(readText)
      // A comparison with a code gives none.
      .map((text) => text.replace(/[!=]== '(ERR_\w+)'/g, ''))
      .join('\n');
    expect(ERROR_CODES.filter((code) => !program.includes(`'${code}'`))).toEqual([]);
  });
});

describe('docs/reference/reasons.md', () => {
  const text = readText('docs/reference/reasons.md');
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
    ([, name, verdict, meaning]) => `${name}: ${verdict}: ${meaning}`,
  );

  it('has every reason with its verdict and its meaning, and no other', () => {
    const expected = REASONS.map(([name, verdict, meaning]) => {
      return `${name}: ${VERDICTS[verdict]}: ${meaning}`;
    });
    expect([...rows].sort()).toEqual(expected.sort());
  });

  it('names every verdict', () => {
    for (const verdict of VERDICTS) expect(text).toContain(`| ${verdict} |`);
  });

  it('says so of the reasons that the filter does not give yet, and of no other', () => {
    const filter = PROGRAM.filter(
      (path) => path.startsWith('src/switching/') && !path.endsWith('/reasons.ts'),
    )
      .map((path) => withoutComments(readText(path)))
      .join('\n');
    const constant = (name: string) => name.toUpperCase().replaceAll('-', '_');
    const notGiven = REASONS.map(([name]) => name).filter(
      (name) => !new RegExp(`\\b${constant(name)}\\b`).test(filter),
    );
    const said = [...text.matchAll(/^\| `([a-z-]+)` .*\| not given yet/gm)].map(([, name]) => name);
    expect(said).toEqual(notGiven);
  });
});

describe('docs/reference/configuration.md', () => {
  const path = 'docs/reference/configuration.md';
  const begin = /<!-- keys: begin[^>]*-->\n/;
  const end = '<!-- keys: end -->';
  const keys = configurationKeys();

  it('has the table that the schema gives', () => {
    const table = ['| Key | Type and range | Default | Meaning |', '|---|---|---|---|']
      .concat(keys.map(({ row }) => row))
      .join('\n');
    const text = readText(path);
    const start = text.search(begin) + (begin.exec(text)?.[0].length ?? 0);
    const wanted = `${text.slice(0, start)}\n${table}\n\n${text.slice(text.indexOf(end))}`;
    if (process.env.UPDATE_DOCUMENTS !== undefined) writeFileSync(join(TOP, path), wanted);
    expect(readText(path)).toBe(wanted);
  });

  it('the table has every key that the parser knows', () => {
    const known = Object.entries(KNOWN_KEYS).flatMap(([place, names]) =>
      names.map((name) => (place === '' ? name : `${place}.${name}`)),
    );
    expect(keys.map((key) => key.path).sort()).toEqual(known.sort());
  });

  it('says rightly what a reload can change', () => {
    const base = `
interfaces: [{ name: a, addresses: [10.1.0.1/24] }, { name: b, addresses: [10.2.0.1/24] }]
services: [{ name: s, address: 10.1.0.9, protocol: tcp, port: 80, backends: [{ name: x, address: 10.2.0.2 }] }]
`;
    const parse = (text: string) => {
      const { configuration, faults } = parseConfiguration(text, 'file');
      expect(faults).toEqual([]);
      return configuration!;
    };
    const changed: Record<string, string> = {
      interfaces: base.replace('10.1.0.1/24', '10.1.0.2/24'),
      processors: `${base}processors: { switching: 2 }`,
      limits: `${base}limits: { frames: 512 }`,
      routing: `${base}routing: { follow: true }`,
      forwarding: `${base}forwarding: [{ from: b, to: a }]`,
      routes: `${base}routes: [{ to: default, via: 10.1.0.254 }]`,
      timeouts: `${base}timeouts: { udp: 5 }`,
      'rate-limits': `${base}rate-limits: { resets: 5 }`,
      services: base.replace('port: 80', 'port: 81'),
      control: `${base}control: { addresses: [10.1.0.7/24] }`,
      applications: `${base}applications: [{ name: a, module: ./a.mjs }]`,
      'resource-manager': `${base}resource-manager: { reports-per-second: 5 }`,
    };
    const table = readText(path).split('## What a reload can change')[1];
    for (const key of KNOWN_KEYS['']) {
      const fixed = needsRestart(parse(base), parse(changed[key])).length > 0;
      const row = table.split('\n').find((line) => line.includes(`\`${key}\``));
      expect(`${key}: ${row?.includes('| no') === true}`).toBe(`${key}: ${fixed}`);
    }
  });
});

describe('docs/reference/distribution.md', () => {
  it('has the code of every reason, and no other', () => {
    const program = ['reasons', 'synthesis', 'availability']
      .map((name) => readText(`src/distribution/${name}.ts`))
      .join('\n');
    const given = new Set([...program.matchAll(/reason\(\s*'([a-z-]+)'/g)].map(([, code]) => code));
    for (const code of ['drain', 'maintenance']) given.add(code);
    const text = readText('docs/reference/distribution.md').split('## Reasons')[1];
    const named = [...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code);
    expect(named.sort()).toEqual([...given].sort());
  });
});

describe('docs/reference/control-socket.md', () => {
  const text = readText('docs/reference/control-socket.md');

  it('names every path that is served, and no other', () => {
    const files = ['admin', 'admin-backends', 'admin-applications'];
    const routes = files.map((name) => readText(`src/control/${name}.ts`)).join();
    const served = [...routes.matchAll(/app\.(get|post)\('([^']+)'/g)].map(
      ([, method, path]) => `${method.toUpperCase()} ${path}`,
    );
    const named = [...text.matchAll(/^\| `((?:GET|POST) [^`]+)`/gm)].map(([, name]) => name);
    expect(named.sort()).toEqual(served.sort());
  });

  it.each([
    'src/control/status-shape.ts',
    'src/control/backend-view.ts',
    'src/control/application-view.ts',
  ])('names every key of %s', (file) => {
    const shape = withoutComments(readText(file));
    const keys = new Set([...shape.matchAll(/readonly (\w+)\??:/g)].map(([, key]) => key));
    // Keys of a reason, and of a queue, which the text explains elsewhere.
    const elsewhere = ['count', 'verdict', 'meaning', 'queue'];
    const missing = [...keys].filter(
      (key) => !elsewhere.includes(key) && !new RegExp(`\\b${key}\\b`).test(text),
    );
    expect(missing).toEqual([]);
  });

  it('names every key of a body', () => {
    const routes = withoutComments(readText('src/control/admin-backends.ts'));
    const bodies = [...routes.matchAll(/strictObject\(\{([^}]*)\}/g)]
      .map(([, keys]) => keys)
      .join();
    const keys = [...bodies.matchAll(/(?:^|,)\s*(\w+)(?=[:,\s])/g)].map(([, key]) => key);
    expect(new Set(keys)).toEqual(new Set(['deadlineSeconds', 'atDeadline', 'by', 'weight']));
    const missing = keys.filter((key) => !new RegExp(`^\\| .*\`${key}\``, 'm').test(text));
    expect(missing).toEqual([]);
  });
});

describe('what documents name exists', () => {
  it('files', () => {
    const missing: string[] = [];
    for (const document of DOCUMENTS) {
      const names = readText(document).matchAll(
        /`((?:src|test|bench|tools|examples|docs|bin)\/[\w./-]+)`/g,
      );
      for (const [, name] of names) {
        if (!existsSync(join(TOP, name))) missing.push(`${document}: ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('links, with their headings', () => {
    const broken: string[] = [];
    for (const document of DOCUMENTS) {
      const links = readText(document).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)/g);
      for (const [, file, heading] of links) {
        const target = file === '' ? document : join(dirname(document), file);
        if (!existsSync(join(TOP, target))) broken.push(`${document}: ${file}`);
        else if (heading !== undefined && !headingsOf(target).includes(heading)) {
          broken.push(`${document}: ${file}#${heading}`);
        }
      }
    }
    expect(broken).toEqual([]);
  });
});

/** The anchors of a document's headings, as GitHub makes them. */
function headingsOf(document: string): string[] {
  return [...readText(document).matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('docs/life-of-a-packet.md', () => {
  it('names functions that exist, each in its file', () => {
    const names = readText('docs/life-of-a-packet.md').matchAll(/`([\w/.-]+\.ts):(\w+)`/g);
    const missing: string[] = [];
    let count = 0;
    for (const [, file, name] of names) {
      count++;
      const path = `src/${file}`;
      const isThere = existsSync(join(TOP, path));
      if (!isThere || !functionsOf(path).some((each) => each.name === name)) {
        missing.push(`${file}:${name}`);
      }
    }
    expect(missing).toEqual([]);
    expect(count).toBeGreaterThan(40);
  });
});

describe('examples', () => {
  const blocks = DOCUMENTS.flatMap((document) =>
    [...readText(document).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(
      ([, text], i) => [`${document}, block ${i + 1}`, text] as const,
    ),
  );
  /** Of other programs of weir; each has a test of its own. */
  const otherPrograms = ['examples/resource-manager.yaml', 'examples/agent.yaml'];
  const files = filesBelow('examples', '.yaml')
    .filter((path) => !otherPrograms.includes(path))
    .map((path) => [path, readText(path)] as const);

  it('are there', () => {
    expect(blocks.length).toBeGreaterThan(2);
    expect(files.length).toBeGreaterThan(0);
  });

  it.each([...blocks, ...files])('%s is a configuration without a fault', (name, text) => {
    const { faults, warnings } = parseConfiguration(text, name);
    expect(faults).toEqual([]);
    expect(warnings).toEqual([]);
  });
});

describe('docs/decisions', () => {
  it('are numbered from 1 without a gap, and say context, choice and alternatives', () => {
    const files = filesBelow('docs/decisions', '.md').map((path) => path.split('/').at(-1)!);
    const numbers = files.map((name) => Number(/^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1]));
    expect(numbers).toEqual(files.map((_, i) => i + 1));
    for (const name of files) {
      const text = readText(`docs/decisions/${name}`);
      for (const part of ['## Context', '## Choice', '## Alternatives']) {
        expect(text, name).toContain(part);
      }
    }
  });
});
