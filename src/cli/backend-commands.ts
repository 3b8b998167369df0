// The commands for backends: what `weir --help` shows of them and which file does them. Kept beside
// main.ts because there are five of them; each is imported only when it is asked for.
// BACKEND is 'service/backend', or the backend's name alone where only one service has it.

import type { Command } from 'commander';
import { DEFAULT_SOCKET_PATH } from '../control/admin-client.ts';

const SOCKET_OPTION = ['--socket <path>', 'control socket', DEFAULT_SOCKET_PATH] as const;
const JSON_OPTION = ['--json', 'the answer as JSON'] as const;
const BACKEND = [
  '<backend>',
  "'service/backend', or its name alone if only one service has it",
] as const;

interface Options {
  readonly socket: string;
  readonly json?: boolean;
}

/** Adds `backends`, `why`, `drain`, `undrain` and `weight`. */
export function addBackendCommands(weir: Command): void {
  weir
    .command('backends')
    .description('show each backend: weight and why, health, last report, connections, drain')
    .option('--service <name>', 'of one service')
    .option(...JSON_OPTION)
    .option(...SOCKET_OPTION)
    .addHelpText(
      'after',
      '\nWEIGHT is the configured one → the present one; * marks one that an operator set.\n' +
        'To keep looking: watch -c -n 1 weir backends',
    )
    .action(async (options: Options & { service?: string }) => {
      const { backends } = await import('./backends.ts');
      process.exitCode = await backends(options);
    });

  weir
    .command('why')
    .description('explain the weight of a backend, from the reports that made it')
    .argument(...BACKEND)
    .option(...JSON_OPTION)
    .option(...SOCKET_OPTION)
    .action(async (backend: string, options: Options) => {
      const { why } = await import('./backends.ts');
      process.exitCode = await why(backend, options);
    });

  addDrain(weir);

  weir
    .command('undrain')
    .description('give a backend new connections again')
    .argument(...BACKEND)
    .option(...JSON_OPTION)
    .option(...SOCKET_OPTION)
    .addHelpText('after', '\nAt any moment of a drain. It starts slowly, as after any return.')
    .action(async (backend: string, options: Options) => {
      const { undrain } = await import('./backend-change.ts');
      process.exitCode = await undrain(backend, options);
    });

  weir
    .command('weight')
    .description('set the weight of a backend until it is taken back or weir ends')
    .argument(...BACKEND)
    .argument('<weight>', "0 to 65535 (0: no new connection), or 'default' for the configured one")
    .option(...JSON_OPTION)
    .option(...SOCKET_OPTION)
    .addHelpText('after', '\nIt stands for the weight in the file; load feedback works from it.')
    .action(async (backend: string, text: string, options: Options) => {
      const { weight } = await import('./backend-change.ts');
      process.exitCode = await weight(backend, text, options);
    });
}

function addDrain(weir: Command): void {
  weir
    .command('drain')
    .description('give a backend no new connection and let those it has come to their end')
    .argument(...BACKEND)
    .option('--deadline <duration>', 'wait no longer than this: 90s, 5m, 2h; default: for ever')
    .option(
      '--then <what>',
      'at the deadline: keep what is still open, or reset it (default: keep)',
    )
    .option('--wait', 'show how it gets on until it is drained')
    .option(...JSON_OPTION)
    .option(...SOCKET_OPTION)
    .addHelpText(
      'after',
      '\nCtrl-C ends the waiting, not the drain; `weir undrain` takes it back.\n' +
        'Exits with 0 when it is drained (--wait) or draining, 1 when somebody took it back, 130 on Ctrl-C.',
    )
    .action(
      async (
        backend: string,
        options: Options & { deadline?: string; then?: string; wait?: boolean },
      ) => {
        const { drain } = await import('./drain.ts');
        process.exitCode = await drain(backend, options);
      },
    );
}
