// Packet sockets need no root: everything that af-packet-queue.test.ts shows must hold as root of a
// user namespace, too. That cannot be entered by a process with threads, so the file is run again by
// a vitest of its own that was started inside.

import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

const UNSHARE = ['--user', '--map-root-user', '--net', '--mount'];
const probe = spawnSync('unshare', [...UNSHARE, 'true'], { encoding: 'utf8' });
const reason = probe.status === 0 ? undefined : (probe.error?.message ?? probe.stderr.trim());
if (reason !== undefined) console.warn(`skipped: af-packet in a user namespace: ${reason}`);

it.skipIf(reason !== undefined)(
  'works as root of a user namespace',
  () => {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit'];
    const file = 'src/netif/af-packet/af-packet-queue.test.ts';
    const result = spawnSync(
      'unshare',
      [...UNSHARE, process.execPath, ...vitest, '--reporter', 'json', '--silent=false', file],
      { encoding: 'utf8', timeout: 120_000, maxBuffer: 1 << 24 },
    );
    const start = result.stdout.indexOf('{"numTotalTestSuites"');
    expect(start, result.stdout + result.stderr).not.toBe(-1);
    const report = JSON.parse(result.stdout.slice(start).split('\n')[0]);
    expect(report.numFailedTests, result.stdout).toBe(0);
    // What is skipped for want of a privilege would be counted as pending.
    expect(report.numPassedTests).toBeGreaterThan(30);
    expect(report.numPendingTests).toBe(0);
  },
  150_000,
);
