// `weir reload`: asks the control processor to read its configuration file again.
// A file with faults changes nothing: they are shown with their lines, and the exit code is 2. What has
// changed is told one line a change, and what operators have changed at run time remains and is told too.
// Applications that were changed are waited for, because only running them shows whether they can.
// POST /v1/reload in docs/reference/control-socket.md.

import { setTimeout as sleep } from 'node:timers/promises';
import { callAdmin } from '../control/admin-client.ts';
import type { ApplicationView } from '../control/application-view.ts';
import { formatFaults } from '../control/config/format-faults.ts';
import type { ReloadResult } from '../control/reload.ts';
import { whyNotRunning } from './apps-page.ts';
import { printable } from './status-terminal.ts';

const EXIT_REFUSED = 2;
/** An application that is not there by then takes its time: `weir apps` shows when it is. */
const APPLICATIONS_WAIT_MS = 3000;
const LOOK_MS = 50;

/** @returns the exit code: 0 when the new configuration is in force */
export async function reload(socketPath: string, asJson: boolean): Promise<number> {
  const answer = await callAdmin(socketPath, 'POST', '/v1/reload');
  const result = answer.body as ReloadResult;
  if (asJson) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return result.applied ? 0 : EXIT_REFUSED;
  }
  const text = result.text ?? '';
  process.stderr.write(formatFaults(result.faults ?? [], text));
  process.stderr.write(formatFaults(result.warnings ?? [], text, 'warning'));
  if (result.refused !== undefined) process.stderr.write(`${result.refused}\n`);
  if (!result.applied) {
    process.stderr.write(`refused: configuration ${result.generation} stays in force\n`);
    return EXIT_REFUSED;
  }
  if (result.changes.length === 0) process.stdout.write('  no changes\n');
  for (const change of result.changes) process.stdout.write(`  ${change}\n`);
  for (const change of result.remaining ?? []) process.stdout.write(`  ${printable(change)}\n`);
  process.stdout.write(`configuration ${result.generation} is in force\n`);
  const isOfApplications = (change: string) => change.startsWith('application ');
  if (result.changes.some(isOfApplications)) await tellApplications(socketPath);
  return 0;
}

/** Says of each application that does not run why. */
async function tellApplications(socketPath: string): Promise<void> {
  const until = performance.now() + APPLICATIONS_WAIT_MS;
  for (;;) {
    const { body } = await callAdmin(socketPath, 'GET', '/v1/applications');
    const { applications } = body as { applications: ApplicationView[] };
    const states = applications.flatMap((each) => each.processors.map(({ state }) => state));
    const isLoading = states.includes('not loaded');
    if (isLoading && performance.now() < until) {
      await sleep(LOOK_MS);
      continue;
    }
    for (const view of applications.filter(({ state }) => state !== 'running')) {
      process.stderr.write(`application ${printable(view.name)} does not run\n`);
      for (const line of whyNotRunning(view)) process.stderr.write(`  ${line}\n`);
    }
    return;
  }
}
