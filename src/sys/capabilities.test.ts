import { spawnSync } from 'node:child_process';
import { execPath } from 'node:process';
import { describe, expect, it } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import {
  capabilityMask,
  missingCapabilities,
  readCapabilities,
  WEIR_CAPABILITIES,
} from './capabilities.ts';

/** Gives up all but three capabilities, executes itself, and reports itself and two children. */
const PROGRAM = `
import { spawnSync } from 'node:child_process';
const capabilities = await import(process.env.CAPABILITIES);
const { executeNode } = await import(process.env.PROCESS);
const child = () => spawnSync('grep', ['-h', 'CapEff\\\\|CapPrm', '/proc/self/status'])
  .stdout.toString().match(/[0-9a-f]{16}/g).map((hex) => BigInt('0x' + hex).toString());
if (process.env.STAGE === undefined) {
  capabilities.withOnlyCapabilities(capabilities.WEIR_CAPABILITIES);
  const again = { ...process.env, STAGE: '2' };
  executeNode(['--input-type=module', '-e', process.env.PROGRAM], again);
}
capabilities.clearAmbientCapabilities();
const threads = capabilities.readCapabilities();
const report = {
  threads: threads.length,
  permitted: [...new Set(threads.map((t) => t.permitted.toString()))],
  effective: [...new Set(threads.map((t) => t.effective.toString()))],
  child: child(),
};
console.log(JSON.stringify(report));
`;

function runProgram(prefix: readonly string[]): Record<string, unknown> {
  const command = [...prefix, execPath, '--input-type=module', '-e', PROGRAM];
  const env = {
    ...process.env,
    PROGRAM,
    CAPABILITIES: builtModule('src/sys/capabilities.ts'),
    PROCESS: builtModule('src/sys/process.ts'),
  };
  const { stdout, stderr, status } = spawnSync(command[0], command.slice(1), { env });
  expect(stderr.toString()).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout.toString());
}

const three = capabilityMask(WEIR_CAPABILITIES).toString();
const none = '0';

function expectOnlyThree(report: Record<string, unknown>): void {
  expect(report.threads).toBeGreaterThan(4);
  expect(report.permitted).toEqual([three]);
  expect(report.effective).toEqual([three]);
  expect(report.child).toEqual([none, none]);
}

const missing = missingCapabilities([...WEIR_CAPABILITIES, 'CAP_SETPCAP']);
const cannotUnshare = spawnSync('unshare', ['-Ur', 'true']).status !== 0;
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
asNobody.push('--inh-caps=+net_raw,+net_admin,+bpf', '--ambient-caps=+net_raw,+net_admin,+bpf');
const cannotSetpriv = spawnSync(asNobody[0], [...asNobody.slice(1), 'true']).status !== 0;

if (missing.length > 0) console.log(`skipped, as root: no ${missing.join(', ')}`);
if (cannotUnshare) console.log('skipped, in a user namespace: `unshare -Ur true` fails');
if (cannotSetpriv) console.log('skipped, as another user: setpriv with ambient capabilities fails');

describe('capabilities', () => {
  it('have the bits that the kernel gives them', () => {
    expect(capabilityMask(['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF'])).toBe(0x8000003000n);
  });

  it('are read for every thread', () => {
    const threads = readCapabilities();
    expect(threads.map(({ thread }) => thread)).toContain(process.pid);
    expect(threads.length).toBeGreaterThan(1);
  });

  it.skipIf(missing.length > 0)('root keeps three on all threads, its children none', () => {
    expectOnlyThree(runProgram([]));
  });

  it.skipIf(cannotUnshare)('so does root of a user namespace', () => {
    expectOnlyThree(runProgram(['unshare', '-Ur']));
  });

  it.skipIf(cannotSetpriv)('so does another user who was given ambient ones', () => {
    expectOnlyThree(runProgram(asNobody));
  });
});
