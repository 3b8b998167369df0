// The `weir` command: one subcommand per file. Exit codes: 0 done; 1 it did not work (the message says
// what and what to do); 2 the command line or the configuration is wrong.
// Each subcommand is imported only when it is asked for, so that `weir status` loads little.

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { type ErrorCode, WeirError } from '../base/errors.ts';
import { DEFAULT_SOCKET_PATH } from '../control/admin-client.ts';
import { addBackendCommands } from './backend-commands.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** Errors of whoever wrote the command line or the configuration. */
const USAGE_ERRORS: readonly ErrorCode[] = [
  'ERR_CONFIG_INVALID',
  'ERR_CONFIG_UNREADABLE',
  'ERR_COMMAND_LINE',
  'ERR_BACKEND_UNKNOWN',
  'ERR_APPLICATION_UNKNOWN',
];

interface FileOptions {
  readonly config: string;
  readonly socket: string;
  readonly json?: boolean;
}

function version(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const EXIT_CODES = `
Exit codes: 0 done; 1 it did not work, the message says what to do; 2 the command line or the
configuration is wrong.`;

const SOCKET_OPTION = ['--socket <path>', 'control socket', DEFAULT_SOCKET_PATH] as const;

function program(): Command {
  const weir = new Command('weir')
    .description('A layer-4 switch and server load balancer.')
    .version(version())
    .addHelpText('after', `${EXIT_CODES}\nMore: docs/reference/configuration.md, docs/guides/.`)
    .showHelpAfterError('(weir --help shows what there is)')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));

  weir
    .command('run')
    .description('start switching with a configuration, in the foreground')
    .requiredOption('--config <file>', 'configuration file (YAML)')
    .option(...SOCKET_OPTION)
    .addHelpText(
      'after',
      '\nEnds on SIGTERM or Ctrl-C. SIGHUP, like `weir reload`, reads the configuration again.\n' +
        'If a supervisor was killed, `weir run` takes over what still switches without a pause.',
    )
    .action(async (options: FileOptions) => {
      const { run } = await import('./run.ts');
      const exitCode = await run(options.config, options.socket);
      // Links are watched for as long as there is a process, so it does not end by itself.
      process.exit(exitCode);
    });

  weir
    .command('check')
    .description('check a configuration file and show every fault in it')
    .requiredOption('--config <file>', 'configuration file (YAML)')
    .option('--json', 'faults and warnings as JSON')
    .addHelpText(
      'after',
      '\nExits with 0 when the file can be used (warnings or not), with 2 otherwise.',
    )
    .action(async (options: FileOptions) => {
      const { check } = await import('./check.ts');
      process.exitCode = check(options.config, options.json === true);
    });

  weir
    .command('status')
    .description('show processors, interfaces, services, backends and why packets ended')
    .option('--json', 'everything, as JSON')
    .option(...SOCKET_OPTION)
    .addHelpText('after', '\nTo keep looking: watch -n 1 weir status')
    .action(async (options: FileOptions) => {
      const { status } = await import('./status.ts');
      process.exitCode = await status(options.socket, options.json === true);
    });

  weir
    .command('reload')
    .description('read the configuration file again; faults change nothing')
    .option('--json', 'the result as JSON')
    .option(...SOCKET_OPTION)
    .addHelpText('after', '\nExits with 0 when the file is in force, with 2 when it was refused.')
    .action(async (options: FileOptions) => {
      const { reload } = await import('./reload.ts');
      process.exitCode = await reload(options.socket, options.json === true);
    });

  addRoutes(weir);
  addDoctor(weir);
  addBackendCommands(weir);
  addApps(weir);
  addResourceManager(weir);
  addAgent(weir);
  addDemo(weir);
  return weir;
}

function addDoctor(weir: Command): void {
  weir
    .command('doctor')
    .description('what weir can have of this machine, what not, and why')
    .option('--config <file>', 'for what this configuration asks')
    .option('--json', 'everything, as JSON')
    .option('--try', 'attach a program that passes everything, to see the mode of XDP')
    .option(...SOCKET_OPTION)
    .addHelpText('after', '\nExits with 0 when weir would run here, with 1 when not.')
    .action(async (options: Partial<FileOptions> & { socket: string; try?: boolean }) => {
      const { doctor } = await import('./doctor.ts');
      const { config, socket } = options;
      const flags = { json: options.json === true, isTrying: options.try === true };
      process.exitCode = await doctor({ socket, ...flags, ...(config && { config }) });
    });
}

function addRoutes(weir: Command): void {
  weir
    .command('routes')
    .description('show the routes in force, and where each comes from')
    .option('--json', 'everything, as JSON')
    .option(...SOCKET_OPTION)
    .action(async (options: FileOptions) => {
      const { routes } = await import('./routes.ts');
      process.exitCode = await routes(options.socket, options.json === true);
    });
}

/** Its options are its own: it is also a program of its own (src/agent). */
function addAgent(weir: Command): void {
  weir
    .command('agent')
    .description('report the load of this server; see weir agent --help')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[args...]')
    .action(async (args: string[]) => {
      const { runAgentCommand } = await import('./agent.ts');
      await runAgentCommand(args);
    });
}

function addApps(weir: Command): void {
  weir
    .command('apps')
    .description('show network applications: packets, cost, failures, and what does not run')
    .option('--restart <name>', 'have one begin again, also when it was switched off')
    .option('--json', 'everything, as JSON')
    .option(...SOCKET_OPTION)
    .addHelpText(
      'after',
      '\nExits with 0 when all of them run. Own ones: docs/guides/network-applications.md',
    )
    .action(async (options: FileOptions & { restart?: string }) => {
      const { apps } = await import('./apps.ts');
      process.exitCode = await apps(options);
    });
}

function addResourceManager(weir: Command): void {
  weir
    .command('resource-manager')
    .description('take load reports for switches on other hosts, in the foreground')
    .requiredOption('--config <file>', 'its configuration file (YAML)')
    .option('--check', 'check the file and its keys, and show every fault')
    .addHelpText(
      'after',
      '\nEnds on SIGTERM or Ctrl-C. SIGHUP reads file and keys again, SIGUSR1 logs its counts.\n' +
        'The file: docs/reference/resource-manager.md, examples/resource-manager.yaml.',
    )
    .action(async (options: { config: string; check?: boolean }) => {
      const { resourceManager } = await import('./resource-manager.ts');
      process.exitCode = await resourceManager(options.config, options.check === true);
    });
}

function addDemo(weir: Command): void {
  weir
    .command('demo')
    .description('build a network on this machine and show weir at work in it')
    .option('--duration <seconds>', 'how long its first part runs, with the killings', '12')
    .option('--json <file>', 'write the summary to a file, as JSON')
    .option('--keep', 'leave network and switch running until Ctrl-C, to look around (root only)')
    .addHelpText(
      'after',
      '\nExits with 0 when every request was answered, what was killed came back, and a loaded\n' +
        'server was given fewer connections for as long.',
    )
    .action(async (options: { duration: string; json?: string; keep?: boolean }) => {
      const { demo } = await import('./demo.ts');
      process.exitCode = await demo(options);
    });
}

try {
  await program().parseAsync();
} catch (error) {
  if (!(error instanceof WeirError)) throw error;
  process.stderr.write(`weir: ${error.message}\n`);
  process.exitCode = USAGE_ERRORS.includes(error.code) ? EXIT_USAGE : EXIT_FAILURE;
}
