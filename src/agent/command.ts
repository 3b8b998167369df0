// The agent's command line: `weir agent …` and, installed alone, `weir-agent …`. Exit codes as
// everywhere in weir: 0 done or ended by a signal, 1 it did not work, 2 the command line or the
// configuration is wrong.

import { Command } from 'commander';
import { Log } from '../base/log.ts';
import { generateKey } from '../load/key-file.ts';
import type { BackendLoad } from '../load/signed-report.ts';
import { Agent } from './agent.ts';
import { readAgentFile } from './configuration-file.ts';

const EXIT_USAGE = 2;

interface RunOptions {
  readonly config?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

const MORE = `
It needs no right of its own: run it as any user. It ends on SIGTERM or Ctrl-C with 0; SIGHUP has it read its
configuration and its key again.
Exit codes: 0 done; 1 it did not work, the message says what to do; 2 the command line or the
configuration is wrong. More: docs/reference/agent.md.`;

/** The command with its subcommand `key`. */
export function agentCommand(name: string): Command {
  const command = new Command(name)
    .description('report the load of this server to weir, and to other balancers that ask')
    // Before the subcommand, which inherits it.
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE))
    .option('--config <file>', 'configuration of the agent (YAML)')
    .option('--once', 'look for one interval, print what would be reported, and end')
    .option('--json', 'with --once: as JSON')
    .addHelpText('after', MORE)
    .action(async (options: RunOptions) => {
      if (options.config === undefined) {
        command.error('error: --config <file> is needed', { exitCode: EXIT_USAGE });
      } else if (options.json && !options.once) {
        command.error('error: --json goes with --once', { exitCode: EXIT_USAGE });
      } else if (options.once) await printOnce(options.config, options.json === true);
      else await runUntilStopped(options.config);
    });
  command
    .command('key')
    .description('print a new key, for the key file of an agent: umask 077; … key > b1.key')
    .action(() => {
      process.stdout.write(`${generateKey()}\n`);
    });
  return command;
}

async function runUntilStopped(path: string): Promise<void> {
  process.title = 'weir: agent';
  const agent = new Agent(readAgentFile(path));
  // Before the ports are open: a signal at the start must not be lost.
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  const started = agent.start();
  // One after the other, however many signals come.
  let lastReload = started.catch(() => {});
  process.on('SIGHUP', () => {
    lastReload = lastReload.then(() => reload(agent, path));
  });
  await started;
  await stopped;
  await lastReload;
  await agent.stop();
}

/** Reads the file and its key again; what is wrong with them changes nothing. */
async function reload(agent: Agent, path: string): Promise<void> {
  const log = new Log('agent');
  try {
    await agent.update(readAgentFile(path));
    log.info(`${path} is in force`);
  } catch (error) {
    log.warning(`what was before stays in force: ${(error as Error).message}`);
  }
}

async function printOnce(path: string, asJson: boolean): Promise<void> {
  const configuration = readAgentFile(path);
  // Nothing is sent, so the key need not be there yet.
  const backends = await new Agent({ ...configuration, 'report-to': [] }).once();
  const report = { agent: configuration.name, backends };
  const text = asJson ? `${JSON.stringify(report)}\n` : backends.map(formatLoad).join('\n');
  process.stdout.write(text);
}

/** A block of lines for people. */
function formatLoad({ backend, figures }: BackendLoad): string {
  const lines = Object.entries(figures).map(([name, value]) => {
    return `  ${name.padEnd(24)} ${Number(value.toFixed(4))}\n`;
  });
  return `${backend}\n${lines.join('')}`;
}
