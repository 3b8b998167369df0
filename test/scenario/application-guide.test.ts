// docs/guides/network-applications.md, followed as it is written: every block of commands is given to one
// shell, in the folder of the checkout, and says what the guide says that it says.

import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { execute, topFolder } from '../../src/lab/command.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { readText } from '../support/source-text.ts';

const DEADLINE_MS = 100_000;
const GUIDE = readText('docs/guides/network-applications.md');
const reason = skipReason({ programs: ['ip', 'ethtool', 'bash', 'timeout'] });
if (reason !== undefined) process.stdout.write(`the guide to applications: skipped: ${reason}\n`);

const blocks = [...GUIDE.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text]) => text);

/** What one shell says to all blocks, with a line between any two. */
function follow(): Promise<string[]> {
  // Job control, as in the shell of a person: the guide ends weir by its job.
  const script = `set -m\n${blocks.join('\necho ---- 2>&1\n')}`;
  const shell = spawn('bash', ['-c', script], { cwd: topFolder(), detached: true });
  let said = '';
  shell.stdout.on('data', (data) => (said += data));
  shell.stderr.on('data', (data) => (said += data));
  const timer = setTimeout(() => process.kill(-(shell.pid as number), 'SIGKILL'), DEADLINE_MS);
  return new Promise((resolve) => {
    shell.on('close', () => {
      clearTimeout(timer);
      resolve(said.split('----\n'));
    });
  });
}

it.skipIf(reason !== undefined)(
  'the guide to network applications is true',
  async () => {
    const said = await follow().finally(() => {
      // What the guide takes away itself, where it has come to its end.
      for (const name of ['na-client', 'na-weir']) {
        execute('ip', ['netns', 'delete', name], { mayFail: true });
      }
    });
    const all = said.join('----\n');
    expect(said.length, all).toBe(blocks.length);
    const [network, ten, changed, state, own, broken, away] = said;
    expect(network).not.toMatch(/rror|cannot|no such/i);
    expect(ten).toMatch(/weir\.yaml: good: 1 interface/);
    expect(ten).toMatch(/^hello, whoever you are$/m);
    expect(ten).toMatch(/^ +hello +running +1 +0 +1 +0 /m);
    expect(changed).toMatch(/application hello: its module has changed, it is set up anew/);
    expect(changed).toMatch(/^hello, again$/m);
    expect(state.match(/^hi$/gm)).toHaveLength(3);
    expect(state).toMatch(/^silence$/m);
    expect(state).toMatch(/^ +seen 4$/m);
    expect(own).toMatch(/^tick$/m);
    expect(broken).toMatch(/^ +hello +failed +/m);
    expect(broken).toMatch(/100 exceptions, 0 overruns so far/);
    expect(broken).toMatch(/switching 0: failed: Error: oops \(hello\.mjs:3\)/);
    expect(broken).toMatch(/not all of them run/);
    expect(away).not.toMatch(/rror|cannot|no such/i);
  },
  DEADLINE_MS + 20_000,
);
