// `weir apps`: the network applications, what became of their packets, what they cost and how they failed;
// with a name after `--restart` it has one begin again. The exit code tells a script whether all of them
// run, on all processors where they should.

import { WeirError } from '../base/errors.ts';
import type { Problem } from '../control/admin-backends.ts';
import { callAdmin } from '../control/admin-client.ts';
import type { ApplicationView } from '../control/application-view.ts';
import { renderApplications } from './apps-page.ts';
import { paint, showsColors } from './status-terminal.ts';

export interface AppsOptions {
  readonly socket: string;
  readonly json?: boolean;
  readonly restart?: string;
}

async function ask<Answer>(socket: string, method: 'GET' | 'POST', path: string): Promise<Answer> {
  const { status, body } = await callAdmin(socket, method, path);
  if (status === 200) return body as Answer;
  const { code, error, advice } = (body ?? {}) as Partial<Problem>;
  throw new WeirError(
    code ?? 'ERR_CONTROL_UNREACHABLE',
    error ?? `${socket} answers ${status} to ${method} ${path}`,
    advice ?? 'is it the control socket of this version of weir?',
  );
}

/** @returns the exit code: 0 when all of them run, else 1 */
export async function apps({ socket, json, restart }: AppsOptions): Promise<number> {
  if (restart !== undefined) {
    await ask(socket, 'POST', `/v1/applications/${encodeURIComponent(restart)}/restart`);
    process.stdout.write(`${restart} begins again\n`);
    return 0;
  }
  const answer = await ask<{ applications: ApplicationView[] }>(socket, 'GET', '/v1/applications');
  const { applications } = answer;
  const colors = paint(showsColors(process.stdout));
  const text = json === true ? JSON.stringify(answer, undefined, 2) : undefined;
  process.stdout.write(text === undefined ? renderApplications(applications, colors) : `${text}\n`);
  return applications.every(({ state }) => state === 'running') ? 0 : 1;
}
