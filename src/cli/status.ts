// `weir status`: asks the control processor how weir is, and shows it.
// Over the control socket (docs/reference/control-socket.md), so it needs the right to use that socket
// and no other. With --json the answer is printed as it came.

import { WeirError } from '../base/errors.ts';
import { callAdmin } from '../control/admin-client.ts';
import type { Status } from '../control/status-shape.ts';
import { renderStatus } from './status-page.ts';
import { paint, showsColors } from './status-terminal.ts';

/** Asks for the status. @throws WeirError ERR_CONTROL_UNREACHABLE */
export async function fetchStatus(socketPath: string): Promise<Status> {
  const { status, body } = await callAdmin(socketPath, 'GET', '/v1/status');
  if (status === 200) return body as Status;
  throw new WeirError(
    'ERR_CONTROL_UNREACHABLE',
    `${socketPath} answers ${status} to a question for the status`,
    'is it the control socket of this version of weir?',
  );
}

/** @returns the exit code: 0 */
export async function status(socketPath: string, asJson: boolean): Promise<number> {
  const found = await fetchStatus(socketPath);
  const text = asJson
    ? `${JSON.stringify(found, undefined, 2)}\n`
    : renderStatus(found, paint(showsColors(process.stdout)));
  process.stdout.write(text);
  return 0;
}
