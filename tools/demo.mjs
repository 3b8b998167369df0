// `npm run demo`: makes the checkout runnable (set-up, with its progress shown) and runs `weir demo` with
// the arguments given. Plain JavaScript, because it runs before anything is compiled.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { argv, execPath, exit, stdout } from 'node:process';
import { setUp, TOP } from './setup.mjs';

stdout.write('set-up\n');
if (!setUp()) exit(1);
stdout.write('demo\n');
const weir = join(TOP, 'bin', 'weir');
const child = spawn(execPath, [weir, 'demo', ...argv.slice(2)], { stdio: 'inherit' });
// A terminal sends Ctrl-C to both of us: the demo takes its network away first, then we end as it did.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  process.stderr.write(`${weir}: ${error.message}\n`);
  exit(1);
});
child.on('exit', (code, signal) => exit(code ?? 128 + constants.signals[signal]));
