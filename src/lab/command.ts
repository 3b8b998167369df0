// Runs other programs for the lab: `ip`, `ethtool`, `tcpdump` …, here or inside a network namespace.
// What sets the lab up or takes it down is run synchronously: it is short, its order matters, and
// clean-up must work in an exit handler, where nothing asynchronous runs any more. What lasts is
// spawned, registered for clean-up, and writes into a log file rather than a pipe, so that it is
// never held up by a reader that is busy.
// `ip netns exec` replaces itself by the program, so the child's pid is the program's own.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { env, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { WeirError } from '../base/errors.ts';
import { registerProcess } from './clean-up.ts';

/** A user's path often lacks the folders that hold `ip` and `nginx`. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const SEARCH_PATH = [...(env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS].filter(Boolean);
const OUTPUT_LIMIT_BYTES = 256 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 60_000;

export interface CommandOptions {
  /** The network namespace to run in; by default this process's own. */
  namespace?: string;
  /** What the program reads on its standard input. */
  input?: string;
  timeoutMs?: number;
  /** Give back a result with a non-zero status instead of throwing. */
  mayFail?: boolean;
}

export interface CommandResult {
  status: number;
  stdout: string;
  stderr: string;
}

/** Where an executable is, or undefined. */
export function findProgram(program: string): string | undefined {
  for (const folder of SEARCH_PATH) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** The environment for programs of the lab: a full path, and messages in the language we parse. */
export function labEnvironment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  return { ...env, LC_ALL: 'C', PATH: SEARCH_PATH.join(delimiter), ...extra };
}

function insideNamespace(namespace: string | undefined, command: string[]): string[] {
  return namespace === undefined ? command : ['ip', 'netns', 'exec', namespace, ...command];
}

function failure(shown: string, status: number, stdout: string, stderr: string): WeirError {
  const output = (stderr.trim() || stdout.trim()).split('\n').slice(-8).join('\n');
  const advice = /not permitted|denied/i.test(output)
    ? 'Run as root, or let the lab make a user namespace (npm run demo does).'
    : '';
  return new WeirError('ERR_LAB', `\`${shown}\` ended with ${status}: ${output}`, advice);
}

function couldNotStart(program: string, problem: NodeJS.ErrnoException): WeirError {
  const advice =
    problem.code === 'ENOENT'
      ? `${program} is not installed: run \`npm run setup\` as root, or install it.`
      : '';
  return new WeirError('ERR_LAB', `cannot run ${program}: ${problem.message}`, advice);
}

/**
 * Runs a program to its end and gives its output.
 * @throws WeirError ERR_LAB when it cannot run, takes longer than the limit, or fails.
 */
export function execute(
  program: string,
  args: string[],
  options: CommandOptions = {},
): CommandResult {
  const command = insideNamespace(options.namespace, [program, ...args]);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const result = spawnSync(command[0], command.slice(1), {
    encoding: 'utf8',
    env: labEnvironment(),
    input: options.input ?? '',
    maxBuffer: OUTPUT_LIMIT_BYTES,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const problem = result.error as NodeJS.ErrnoException | undefined;
  if (problem?.code === 'ETIMEDOUT') {
    throw new WeirError('ERR_LAB', `\`${command.join(' ')}\` took over ${timeoutMs} ms`, '');
  }
  if (problem !== undefined) throw couldNotStart(command[0], problem);
  const status = result.status ?? 128;
  const { stdout, stderr } = result;
  if (status !== 0 && !options.mayFail) throw failure(command.join(' '), status, stdout, stderr);
  return { status, stdout, stderr };
}

/** A program of the lab that runs until it is stopped. */
export interface LabProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves with the exit code, or 128 when a signal ended it. */
  readonly exited: Promise<number>;
  isRunning(): boolean;
  /** Everything that it has written so far to the log given; '' without one. */
  log(): string;
  /** SIGTERM, then SIGKILL after a while; resolves when it is gone. */
  stop(patienceMs?: number): Promise<void>;
}

export interface SpawnOptions {
  namespace?: string;
  /** The file that takes standard output and standard error. */
  logFile?: string;
  /** Standard output comes through `child.stdout` instead of the log. */
  pipeOutput?: boolean;
  /** Standard input comes from `child.stdin`, which ends when we do. */
  pipeInput?: boolean;
  environment?: Record<string, string>;
}

function stopper(child: ChildProcess, exited: Promise<number>) {
  return async (patienceMs = 3000): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    await exited;
    clearTimeout(timer);
  };
}

/** Starts a program that lasts; it is killed when the lab is cleaned up. */
export function start(program: string, args: string[], options: SpawnOptions = {}): LabProcess {
  const command = insideNamespace(options.namespace, [program, ...args]);
  if (findProgram(program) === undefined && !existsSync(program)) {
    throw couldNotStart(program, Object.assign(new Error('not found'), { code: 'ENOENT' }));
  }
  const output = options.logFile === undefined ? 'ignore' : openSync(options.logFile, 'a');
  const child = spawn(command[0], command.slice(1), {
    env: labEnvironment(options.environment),
    stdio: [options.pipeInput ? 'pipe' : 'ignore', options.pipeOutput ? 'pipe' : output, output],
  });
  if (typeof output === 'number') closeSync(output);
  // Without a listener a failed spawn would end the whole program; `pid` tells us just as well.
  child.on('error', () => {});
  if (child.pid === undefined) throw couldNotStart(command[0], new Error('spawn failed'));
  const forget = registerProcess(child.pid);
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code) => {
      forget();
      resolve(code ?? 128);
    });
  });
  const { logFile } = options;
  return {
    pid: child.pid,
    child,
    exited,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    log: () => (logFile !== undefined && existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''),
    stop: stopper(child, exited),
  };
}

/** The top folder of the repository or package, whether this runs from src/ or from dist/. */
export function topFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new WeirError('ERR_LAB', 'package.json not found', '');
    folder = parent;
  }
  return folder;
}

/** Starts one of the lab's own programs (`src/lab/<name>.ts`, compiled) in a process of its own. */
export function startLabProgram(name: string, args: string[], options: SpawnOptions): LabProcess {
  const path = join(topFolder(), 'dist', 'src', 'lab', `${name}.js`);
  if (!existsSync(path)) {
    throw new WeirError('ERR_LAB', `${path} is not there`, 'Run `npm run setup`, which compiles.');
  }
  return start(execPath, [path, ...args], options);
}

/** Runs `ip -batch`: many changes at the price of one process. Stops at the first that fails. */
export function ipBatch(lines: string[], namespace?: string): void {
  const args = namespace === undefined ? [] : ['-netns', namespace];
  execute('ip', [...args, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Waits until a condition holds, asking again and again. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
  details: () => string = () => '',
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) {
      const seen = details().trim().split('\n').slice(-15).join('\n');
      throw new WeirError('ERR_LAB', `gave up after ${deadlineMs} ms: ${what}\n${seen}`, '');
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
