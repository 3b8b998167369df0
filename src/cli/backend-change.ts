// `weir undrain` and `weir weight`: changes that take effect with the next flip, and outlast reloads. What
// has changed is told in one line, warnings on standard error; with --json the answer is printed as it
// came. The arguments are checked here, before anybody is asked.

import { WeirError } from '../base/errors.ts';
import type { BackendChangeView } from '../control/backend-view.ts';
import {
  type BackendName,
  changeBackend,
  fetchBackends,
  findBackend,
  nameText,
} from './backend-client.ts';
import { weightText } from './backend-texts.ts';
import { percent, printable } from './status-terminal.ts';

export interface ChangeOptions {
  readonly socket: string;
  readonly json?: boolean;
}

/** The answer as JSON, or its warnings and one line on what is now. */
export function printChange(answer: BackendChangeView, asJson: boolean, line: string): void {
  if (asJson) {
    process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`);
    return;
  }
  for (const warning of answer.warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
  if (answer.backend !== null) process.stdout.write(`${line}\n`);
}

/** 'web/b1: up, weight 1 → 0.5, 12.5 % of the new connections of web: why'. */
function weightLine(name: BackendName, { backend }: BackendChangeView): string {
  if (backend === null) return '';
  const share = `${percent(backend.weight.share)} of the new connections of ${name.service}`;
  const line = `${nameText(name)}: ${backend.state}, weight ${weightText(backend)}, ${share}`;
  return printable(backend.why === '' ? line : `${line}: ${backend.why}`);
}

/** @returns the exit code: 0 when it takes new connections again */
export async function undrain(written: string, options: ChangeOptions): Promise<number> {
  const name = findBackend(written, await fetchBackends(options.socket));
  const answer = await changeBackend(options.socket, name, 'undrain');
  printChange(answer, options.json === true, weightLine(name, answer));
  return 0;
}

/** A weight as written: 0 to 65535, or null for 'default'. @throws WeirError ERR_COMMAND_LINE */
export function parseWeight(text: string): number | null {
  if (text === 'default') return null;
  const weight = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (weight <= 65_535) return weight;
  throw new WeirError(
    'ERR_COMMAND_LINE',
    `${printable(text)} is not a weight`,
    'write 0 to 65535, or default for the configured weight',
  );
}

/** @returns the exit code: 0 when the weight is in force */
export async function weight(
  written: string,
  text: string,
  options: ChangeOptions,
): Promise<number> {
  const parsed = parseWeight(text);
  const name = findBackend(written, await fetchBackends(options.socket));
  const answer = await changeBackend(options.socket, name, 'weight', { weight: parsed });
  printChange(answer, options.json === true, weightLine(name, answer));
  const now = answer.backend?.weight.now;
  const isOnItsWay = parsed !== null && parsed !== 0 && now !== undefined && now !== parsed;
  if (isOnItsWay && options.json !== true) {
    process.stdout.write(
      `  (load, health or slow start are at work too: \`weir why ${nameText(name)}\`)\n`,
    );
  }
  return 0;
}
