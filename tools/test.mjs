// `npm test`: set-up, lint, types, unused code, unit tests, scenarios, one after the other. A failed
// step does not stop the others, so one run tells everything. The last line is, alone,
// `N passed, N failed, N skipped`, for people and programs alike.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, execPath, exit, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';
import { setUp, TOP } from './setup.mjs';

const USAGE = `Usage: npm test -- [--lint] [--unit] [--scenario] [--all-kinds] [--no-packages]
                   [vitest arguments …]
  --lint         only biome, types and unused code
  --unit         only the unit tests
  --scenario     only the scenarios (real packets in network namespaces)
  --all-kinds    scenarios about what stands above interfaces on every kind of them, not only on the best
  --no-packages  leave the system's packages alone
Without any of the first three, everything runs. What is not listed here goes to vitest.
`;

const FLAGS = ['--all-kinds', '--no-packages'];
const PARTS = ['--lint', '--unit', '--scenario'];
const scratch = mkdtempSync(join(tmpdir(), 'weir-test-'));
let running;

/** Runs a command with our terminal and gives its exit code. */
function run(command, args) {
  return new Promise((resolve) => {
    running = spawn(command, args, { cwd: TOP, stdio: 'inherit' });
    running.on('error', (error) => {
      process.stderr.write(`${command}: ${error.message}\n`);
      resolve(1);
    });
    running.on('close', (code) => resolve(code ?? 1));
  });
}

function program(...path) {
  return join(TOP, 'node_modules', ...path);
}

async function check(command, args) {
  const passed = (await run(command, args)) === 0;
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

/** Counts from vitest's JSON report. A file that could not even be loaded counts as one failure. */
function countTests(reportFile, exitCode) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (existsSync(reportFile)) {
    const report = JSON.parse(readFileSync(reportFile, 'utf8'));
    counts.passed = report.numPassedTests;
    counts.failed = report.numFailedTests;
    counts.skipped = report.numPendingTests + (report.numTodoTests ?? 0);
    counts.failed += report.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    ).length;
  }
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

/** Without root the scenarios get a user namespace, in which they may make network namespaces. */
async function runAsLabRoot(command) {
  const built = join(TOP, 'dist', 'src', 'lab', 'user-namespace.js');
  if (process.getuid() !== 0 && existsSync(built)) {
    const { runInUserNamespace, userNamespaceProblem } = await import(pathToFileURL(built).href);
    const problem = userNamespaceProblem();
    if (problem === undefined) return runInUserNamespace(command);
    stdout.write(`without root and without user namespaces: ${problem}\n`);
  }
  return run(command[0], command.slice(1));
}

async function vitest(project, args) {
  const reportFile = join(scratch, `${project}.json`);
  const command = [execPath, program('vitest', 'vitest.mjs'), 'run', '--project', project];
  command.push('--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`);
  // With a filter, a project may well have nothing that matches.
  command.push(...(args.length > 0 ? ['--passWithNoTests', ...args] : []));
  const exitCode =
    project !== 'unit' ? await runAsLabRoot(command) : await run(command[0], command.slice(1));
  return countTests(reportFile, exitCode);
}

function chooseSteps(args) {
  const chosen = PARTS.filter((part) => args.includes(part));
  const rest = args.filter((arg) => !PARTS.includes(arg) && !FLAGS.includes(arg));
  const wants = (part) => chosen.length === 0 || chosen.includes(part);
  const steps = [];
  if (wants('--lint')) {
    const biome = program('@biomejs', 'biome', 'bin', 'biome');
    const tsc = program('typescript', 'bin', 'tsc');
    steps.push(['lint', () => check(execPath, [biome, 'check', '.'])]);
    steps.push(['types', () => check(execPath, [tsc, '-p', 'tsconfig.json'])]);
    steps.push(['unused code', () => check(execPath, [program('knip', 'bin', 'knip.js')])]);
  }
  if (wants('--unit')) steps.push(['unit tests', () => vitest('unit', rest)]);
  if (wants('--scenario')) {
    steps.push(['scenarios', () => vitest('scenario', rest)]);
    steps.push(['operation', () => vitest('operation', rest)]);
  }
  return steps;
}

function printSummary(results) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  stdout.write(`\n${'step'.padEnd(14)}  passed  failed  skipped   seconds\n`);
  for (const { name, counts, seconds } of results) {
    const columns = [
      name.padEnd(14),
      String(counts.passed).padStart(6),
      String(counts.failed).padStart(6),
      String(counts.skipped).padStart(7),
      seconds.toFixed(1).padStart(8),
    ];
    stdout.write(`${columns.join('  ')}\n`);
    for (const key of Object.keys(total)) total[key] += counts[key];
  }
  stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  return total.failed === 0 ? 0 : 1;
}

async function timed(name, action) {
  stdout.write(`\n== ${name}\n`);
  const start = performance.now();
  const counts = await action();
  const seconds = (performance.now() - start) / 1000;
  const outcome = counts.failed === 0 ? 'ok' : 'FAILED';
  stdout.write(`== ${name}: ${outcome} (${seconds.toFixed(1)} s)\n`);
  return { name, counts, seconds };
}

async function main(args) {
  if (args.includes('--help')) {
    stdout.write(USAGE);
    return 0;
  }
  if (args.includes('--all-kinds')) process.env.WEIR_ALL_KINDS = '1';
  const results = [];
  const packages = args.includes('--no-packages') ? 'no' : 'if-possible';
  const ready = await timed('set-up', async () => {
    const failed = setUp({ packages }) ? 0 : 1;
    return { passed: 0, failed, skipped: 0 };
  });
  // A set-up that worked is not a test; one that failed must not go unseen.
  if (ready.counts.failed > 0) results.push(ready);
  if (existsSync(program('vitest'))) {
    for (const [name, action] of chooseSteps(args)) results.push(await timed(name, action));
  }
  return printSummary(results);
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    running?.kill(signal);
    exit(code);
  });
}
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
process.exitCode = await main(argv.slice(2));
