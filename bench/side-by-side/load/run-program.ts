// Runs a client of the benchmarks to its end without holding up this process: the lab's own
// `execute` blocks, and nobody could interrupt a run or read the generator's reports meanwhile.

import { WeirError } from '../../../src/base/errors.ts';
import { start } from '../../../src/lab/command.ts';

export interface ProgramOptions {
  readonly namespace: string;
  readonly timeoutMs: number;
}

/**
 * Gives what the program wrote to its standard output.
 * @throws WeirError ERR_LAB when it fails or takes longer than it may
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  { namespace, timeoutMs }: ProgramOptions,
): Promise<string> {
  const process = start(program, [...args], { namespace, pipeOutput: true });
  let text = '';
  process.child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const closed = new Promise((resolve) => process.child.stdout?.once('close', resolve));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    process.child.kill('SIGKILL');
  }, timeoutMs);
  const status = await process.exited;
  clearTimeout(timer);
  await closed;
  const shown = `${program} ${args.join(' ')}`;
  if (isLate) throw new WeirError('ERR_LAB', `\`${shown}\` took over ${timeoutMs} ms`, '');
  if (status !== 0) {
    const end = text.trim().split('\n').slice(-3).join('; ');
    throw new WeirError('ERR_LAB', `\`${shown}\` ended with ${status}: ${end}`, '');
  }
  return text;
}
