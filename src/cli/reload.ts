// `weir reload`: asks the control processor to read its configuration file again.
// A file with faults changes nothing: they are shown with their lines, and the exit code is 2. What has
// changed is told one line a change, and what operators have changed at run time remains and is told too.
// POST /v1/reload in docs/reference/control-socket.md.

import { callAdmin } from '../control/admin-client.ts';
import { formatFaults } from '../control/config/format-faults.ts';
import type { ReloadResult } from '../control/reload.ts';
import { printable } from './status-terminal.ts';

const EXIT_REFUSED = 2;

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
  return 0;
}
