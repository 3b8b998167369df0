// `weir backends` and `weir why`: each backend with its weight and its share, and how it has come by them.
// Over the control socket; with --json the answer is printed as it came. The pages themselves are pure:
// backends-page.ts and why-page.ts.

import { fetchBackend, fetchBackends, findBackend } from './backend-client.ts';
import { renderBackends } from './backends-page.ts';
import { paint, showsColors } from './status-terminal.ts';
import { renderWhy } from './why-page.ts';

export interface BackendOptions {
  readonly socket: string;
  readonly json?: boolean;
}

/** Columns of the terminal; what is not one takes wide lines. */
function terminalWidth(): number {
  return process.stdout.columns ?? 120;
}

function print(text: string): void {
  process.stdout.write(text);
}

function asJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** @returns the exit code: 0 */
export async function backends(options: BackendOptions & { service?: string }): Promise<number> {
  const view = await fetchBackends(options.socket, options.service);
  const colors = paint(showsColors(process.stdout));
  print(options.json === true ? asJson(view) : renderBackends(view, terminalWidth(), colors));
  return 0;
}

/** @returns the exit code: 0 */
export async function why(written: string, options: BackendOptions): Promise<number> {
  const all = await fetchBackends(options.socket);
  const backend = await fetchBackend(options.socket, findBackend(written, all));
  const colors = paint(showsColors(process.stdout));
  print(options.json === true ? asJson(backend) : renderWhy(backend, all, terminalWidth(), colors));
  return 0;
}
