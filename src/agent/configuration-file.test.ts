// The agent's configuration file: what a whole one becomes, its defaults, and every fault with its
// place. Its keys and the reference of the agent name the same.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readText } from '../../test/support/source-text.ts';
import { WeirError } from '../base/errors.ts';
import { AGENT_KEYS, agentSchema } from './configuration.ts';
import { parseAgentFile, readAgentFile } from './configuration-file.ts';

const MINIMAL = 'name: b1\nservices:\n  - backend: web/b1\n';

/** 'line:column message' of each fault. */
function faultsOf(text: string): string[] {
  const { faults } = parseAgentFile(text, 'agent.yaml');
  return faults.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

describe('a configuration of the agent', () => {
  it('needs little', () => {
    expect(parseAgentFile(MINIMAL, 'agent.yaml').configuration).toEqual({
      name: 'b1',
      'report-to': [],
      interval: 1000,
      services: [{ backend: 'web/b1' }],
      application: { enabled: true, port: 7362, expiry: 5000 },
      'control-group': 'auto',
    });
  });

  it('says how often, to whom and what else', () => {
    const text = `name: b1
key-file: b1.key
report-to: [10.2.0.9:7360, 'manager.example:7361']
interval: 500ms
services:
  - backend: web/b1
    port: 8080
    orca: { port: 7370 }
    agent-check: { address: 10.2.0.11, port: 7371 }
application: { enabled: false, expiry: 2 }
control-group: /sys/fs/cgroup/system.slice/web.service
`;
    expect(parseAgentFile(text, 'agent.yaml').configuration).toMatchObject({
      'report-to': [
        { address: '10.2.0.9', port: 7360 },
        { address: 'manager.example', port: 7361 },
      ],
      interval: 500,
      services: [
        {
          port: 8080,
          orca: { address: '0.0.0.0', port: 7370 },
          'agent-check': { address: '10.2.0.11', port: 7371 },
        },
      ],
      application: { enabled: false, expiry: 2000 },
    });
  });

  it.each<[string, string[]]>([
    ['', ['1:1 the file holds no configuration']],
    ['[]', ['1:1 a map of keys and values is expected']],
    ['name: b1\n', ['1:1 services: this is missing']],
    [
      `${MINIMAL}    prot: 5\n`,
      ['4:5 services[0].prot: unknown key; known here: backend, port, orca, agent-check'],
    ],
    [
      `${MINIMAL}colour: red\n`,
      [`4:1 colour: unknown key; known here: ${AGENT_KEYS[''].join(', ')}`],
    ],
    [`${MINIMAL}    port: 70000\n`, ['4:11 services[0].port: at most 65535 is allowed']],
    [`${MINIMAL}    port: http\n`, ['4:11 services[0].port: a port is expected, 1 to 65535']],
    [
      MINIMAL.replace('web/b1', 'web'),
      ['3:14 services[0].backend: a backend is named as SERVICE/BACKEND, such as web/b1'],
    ],
    [MINIMAL.replace('name: b1', 'name: größe'), [expect.stringContaining('1:7 name: a name has')]],
    [`${MINIMAL}interval: 5 days\n`, [expect.stringContaining('4:11 interval: a duration from')]],
    [`${MINIMAL}interval: 10ms\n`, [expect.stringContaining('4:11 interval: a duration from')]],
    [
      `${MINIMAL}report-to: [10.2.0.9]\nkey-file: x\n`,
      [expect.stringContaining("4:13 report-to[0]: '10.2.0.9' is not an address and a port")],
    ],
    [
      `${MINIMAL}report-to: [10.2.0.9:7360]\n`,
      [expect.stringContaining('1:1 key-file is missing: reports are signed')],
    ],
    [`${MINIMAL}  - backend: web/b1\n`, ['4:14 services[1].backend: web/b1 stands here twice']],
    [
      `${MINIMAL}    orca: { port: 7362 }\n`,
      ['4:19 services[0].orca.port: port 7362 is that of the application endpoint already'],
    ],
    [
      `${MINIMAL}control-group: web\n`,
      [expect.stringContaining("4:16 control-group: 'web' is not")],
    ],
    [`${MINIMAL}  x: [\n`, [expect.stringMatching(/^[45]:/)]],
    ['a: &a [*a]\nb: *a', [expect.stringContaining('')]],
  ])('%j has its faults', (text, faults) => {
    const found = faultsOf(text);
    expect(found.slice(0, faults.length)).toEqual(faults);
    if (!text.includes('*a')) expect(found.length).toBeGreaterThanOrEqual(1);
  });

  it('too large is not read', () => {
    expect(faultsOf(' '.repeat(1_048_577))).toEqual(['1:1 the file is larger than 1 MiB']);
  });
});

describe('a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-agent-file-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const messageOf = (path: string) => {
    try {
      readAgentFile(path);
    } catch (error) {
      if (error instanceof WeirError) return `${error.code} ${error.message}`;
      throw error;
    }
    return 'no error';
  };

  it('with faults is shown as weir check shows one', () => {
    const path = join(folder, 'bad.yaml');
    writeFileSync(path, `${MINIMAL}    port: 70000\u0007\n`);
    expect(messageOf(path)).toContain(
      `ERR_CONFIG_INVALID the agent was not started\n${path}:4:11: error: services[0].port: `,
    );
    expect(messageOf(path)).toContain('\n    4 |     port: 70000·\n      |           ^\n');
  });

  it('that is not there is another error', () => {
    expect(messageOf(join(folder, 'none.yaml'))).toContain('ERR_CONFIG_UNREADABLE');
  });

  it('names its key file as beside itself', () => {
    const path = join(folder, 'good.yaml');
    writeFileSync(path, `${MINIMAL}key-file: b1.key\n`);
    expect(readAgentFile(path)['key-file']).toBe(join(folder, 'b1.key'));
  });
});

describe('the documents', () => {
  const reference = readText('docs/reference/agent.md');

  it('name every key, and no other', () => {
    const section = reference.split('\n## Configuration\n')[1].split('\n## ')[0];
    const rows = [...section.matchAll(/^\| `([a-z.\-[\]]+)` \|/gm)].map(([, key]) => key);
    const keys = Object.entries(AGENT_KEYS).flatMap(([place, names]) =>
      names.map((name) => (place === '' ? name : `${place}.${name}`)),
    );
    expect(rows.sort()).toEqual(keys.sort());
    expect([...AGENT_KEYS['']].sort()).toEqual(Object.keys(agentSchema.shape).sort());
  });

  it('have examples without a fault', () => {
    const blocks = [...reference.matchAll(/^```yml\n([\s\S]*?)^```$/gm)].map(([, text]) => text);
    const files = [readText('examples/agent.yaml')];
    expect(blocks.length).toBeGreaterThan(0);
    for (const text of [...blocks, ...files]) expect(faultsOf(text)).toEqual([]);
  });
});
