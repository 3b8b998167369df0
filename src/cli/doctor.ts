// `weir doctor`: what weir can have of this machine, what not, and why; nothing is changed by it. With a
// configuration it judges by what that asks for, and looks at each of its interfaces.
// Exit code 0 when weir would run with this configuration, 1 when not.

import { callAdmin } from '../control/admin-client.ts';
import { parseConfiguration } from '../control/config/parse.ts';
import type { Configuration } from '../control/config/schema.ts';
import { readConfigurationFile } from '../control/reload.ts';
import type { Status } from '../control/status-shape.ts';
import { usableCpus } from '../sys/cpu-partition.ts';
import { type Finding, type FindingState, missing, ok } from './doctor-finding.ts';
import { examineInterfaces } from './doctor-interfaces.ts';
import { examineMachine } from './doctor-machine.ts';
import { examineProcessors } from './doctor-processors.ts';
import { type Paint, pad, paint, plural, printable, showsColors } from './status-terminal.ts';

const EXIT_WOULD_NOT_RUN = 1;
const STATE_WIDTH = 'not needed'.length;

export interface DoctorOptions {
  readonly config?: string;
  readonly socket: string;
  readonly json: boolean;
  readonly isTrying: boolean;
}

/** @returns the exit code */
export async function doctor(options: DoctorOptions): Promise<number> {
  const { findings, configuration } = readFile(options.config);
  const status = await runningStatus(options.socket);
  findings.push(...examineMachine(configuration), ...examineProcessors(configuration));
  if (configuration !== undefined) {
    const { isTrying } = options;
    findings.push(...examineInterfaces(configuration, { status, isTrying }));
  }
  const isGood = findings.every(({ state }) => state !== 'missing');
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ wouldRun: isGood, findings }, null, 2)}\n`);
  } else {
    process.stdout.write(renderFindings(findings, paint(showsColors(process.stdout))));
  }
  return isGood ? 0 : EXIT_WOULD_NOT_RUN;
}

function readFile(path: string | undefined): {
  findings: Finding[];
  configuration: Configuration | undefined;
} {
  if (path === undefined) return { findings: [], configuration: undefined };
  const text = readConfigurationFile(path);
  const { configuration, faults } = parseConfiguration(text, path, usableCpus());
  const finding =
    configuration === undefined
      ? missing('configuration', plural(faults.length, 'fault'), `weir check --config ${path}`)
      : ok('configuration', path);
  return { findings: [finding], configuration };
}

async function runningStatus(socketPath: string): Promise<Status | undefined> {
  try {
    const { status, body } = await callAdmin(socketPath, 'GET', '/v1/status');
    return status === 200 ? (body as Status) : undefined;
  } catch {
    return undefined;
  }
}

/** The findings for people, in their order. */
export function renderFindings(findings: readonly Finding[], colors: Paint): string {
  const shades: Record<FindingState, (text: string) => string> = {
    ok: colors.green,
    'not had': colors.yellow,
    'not needed': colors.dim,
    missing: colors.red,
  };
  const width = Math.max(0, ...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, state, reason, advice }) => {
    const head = `${pad(shades[state](state), STATE_WIDTH)}  ${pad(printable(name), width)}`;
    const first = `${head}  ${printable(reason)}`;
    const next = `${' '.repeat(STATE_WIDTH + width + 4)}→ ${printable(advice)}`;
    return advice === '' ? [first] : [first, next];
  });
  const lacking = findings.filter(({ state }) => state === 'missing').length;
  const end =
    lacking === 0
      ? 'weir would run here'
      : `weir would not run here: ${plural(lacking, 'thing')} missing`;
  return `${lines.join('\n')}\n\n${colors.bold(end)}\n`;
}
