// The command line of the benchmarks. Everything that is wrong with it is said at once, unknown names
// together with the list of those that there are.

import { parseArgs } from 'node:util';

const FULL_ROUNDS = 5;
const QUICK_ROUNDS = 1;
const MOST_ROUNDS = 99;

export interface BenchArguments {
  readonly isQuick: boolean;
  readonly isTrial: boolean;
  readonly rounds: number;
  /** Names of parts, in the order in which they run. */
  readonly parts: readonly string[];
  readonly contenders: readonly string[];
  /** The result goes to standard output, and nothing else does. */
  readonly isJson: boolean;
  readonly output: string | undefined;
}

/** What may be chosen from, each with one line for the help. */
export interface Choices {
  readonly parts: readonly { readonly name: string; readonly what: string }[];
  readonly contenders: readonly { readonly name: string; readonly label: string }[];
}

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  trial: { type: 'boolean', default: false },
  only: { type: 'string' },
  contenders: { type: 'string' },
  rounds: { type: 'string' },
  json: { type: 'boolean', default: false },
  output: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export function usage({ parts, contenders }: Choices): string {
  const list = (rows: readonly (readonly [string, string])[]) =>
    rows.map(([name, what]) => `  ${name.padEnd(16)} ${what}`).join('\n');
  return `Usage: npm run bench -- [options]

  --quick            under three minutes: one round, short windows, fewer conditions
  --only a,b         only these parts
  --contenders a,b   only these contenders
  --rounds N         rounds (default ${FULL_ROUNDS}, with --quick ${QUICK_ROUNDS})
  --json             the result on standard output instead of tables
  --output FILE      where the result is written (default bench/results/<date>-<quick|full>.json);
                     bench/results/reference.json rewrites docs/benchmarks.md, too
  --trial            windows too short for figures: only whether everything works
  --help             this text

Parts:
${list(parts.map(({ name, what }) => [name, what] as const))}

Contenders:
${list(contenders.map(({ name, label }) => [name, label] as const))}

Exit codes: 0 measured, 1 something failed (what could be had is written), 2 wrong arguments,
130 broken off.
`;
}

/** The chosen names in the order of `known`; faults are added to `faults`. */
function choose(
  kind: string,
  text: string | undefined,
  known: readonly string[],
  faults: string[],
): string[] {
  if (text === undefined) return [...known];
  const wanted = text.split(',').map((name) => name.trim());
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    faults.push(`no ${kind} '${unknown.join("', '")}'; there are: ${known.join(', ')}`);
  }
  return known.filter((name) => wanted.includes(name));
}

function readRounds(text: string | undefined, otherwise: number, faults: string[]): number {
  if (text === undefined) return otherwise;
  const rounds = Number(text);
  if (/^\d+$/.test(text) && rounds >= 1 && rounds <= MOST_ROUNDS) return rounds;
  faults.push(`--rounds ${text}: a number from 1 to ${MOST_ROUNDS} is expected`);
  return otherwise;
}

/** What was asked for; 'help'; or everything that is wrong. */
export function readArguments(
  args: readonly string[],
  choices: Choices,
): BenchArguments | 'help' | { readonly faults: readonly string[] } {
  const faults: string[] = [];
  let values: ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'];
  try {
    values = parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    return { faults: [(error as Error).message] };
  }
  if (values.help) return 'help';
  const isTrial = values.trial;
  const isQuick = values.quick || isTrial;
  const known = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);
  const result: BenchArguments = {
    isQuick,
    isTrial,
    rounds: readRounds(values.rounds, isQuick ? QUICK_ROUNDS : FULL_ROUNDS, faults),
    parts: choose('part', values.only, known(choices.parts), faults),
    contenders: choose('contender', values.contenders, known(choices.contenders), faults),
    isJson: values.json,
    output: values.output,
  };
  return faults.length > 0 ? { faults } : result;
}
