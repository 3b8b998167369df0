// `weir agent`: the load agent, which is also installed alone (src/agent/main.ts).
// What comes after the word is the agent's own command line, so that both take the same; help and
// exit codes are the agent's, too.

import { agentCommand } from '../agent/command.ts';

/** @param args what stands after `weir agent` @throws WeirError as the agent does */
export async function runAgentCommand(args: readonly string[]): Promise<void> {
  await agentCommand('weir agent').parseAsync(args, { from: 'user' });
}
