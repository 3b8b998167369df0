// `npm run bench`: sets up, with the programs that weir is set beside, and runs the benchmarks
// (bench/side-by-side). All arguments are theirs: `npm run bench -- --help` says which there are.
// Figures are printed and never asserted: they are this machine's, at this hour.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { setUp, TOP } from './setup.mjs';

const args = argv.slice(2);
const asksOnly = args.includes('--help') || args.includes('-h');
// With --json nothing but the result may stand on standard output.
const quiet = args.includes('--json') || asksOnly;
const packages = asksOnly ? 'no' : 'if-possible';
if (!setUp({ packages, quiet, withBenchmarkPrograms: !asksOnly })) exit(1);

// Ctrl-C reaches the benchmark, too, which takes its networks down; this process waits for that.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
const main = join(TOP, 'dist', 'bench', 'side-by-side', 'main.js');
const { status } = spawnSync(execPath, [main, ...args], { stdio: 'inherit' });
exit(status ?? 1);
