// The agent as a program of its own: what `npm run build` puts into dist/weir-agent.js, one file that
// needs Node and nothing else. On a machine that has all of weir, `weir agent` is the same
// (src/cli/agent.ts).

import { WeirError } from '../base/errors.ts';
import { agentCommand } from './command.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

try {
  await agentCommand('weir-agent').parseAsync();
} catch (error) {
  if (!(error instanceof WeirError)) throw error;
  process.stderr.write(`weir-agent: ${error.message}\n`);
  const isUsage = error.code === 'ERR_CONFIG_INVALID' || error.code === 'ERR_CONFIG_UNREADABLE';
  process.exitCode = isUsage ? EXIT_USAGE : EXIT_FAILURE;
}
