// Health check by a program of the operator: exit code 0 passes, everything else fails. It is told
// what to check in its environment (WEIR_BACKEND, WEIR_ADDRESS, WEIR_PORT) and has nothing else of this
// process but PATH, LANG and the time zone: no plan, no descriptors, no terminal. It runs in a session
// of its own; at the timeout its whole process group is killed.
// Limits: 64 KiB of output, of which the first line is shown.

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { HealthTarget } from '../health-state.ts';
import { duration, isLocalLack, plain } from '../words.ts';
import { inheritedDescriptors } from './descriptors.ts';
import { failed, failedBy, type Probe, type ProbeResult, passed } from './probe.ts';

const MAX_OUTPUT_BYTES = 65_536;
const KEPT_OUTPUT_BYTES = 1_024;
/** After its end a script's output is waited for so long: a child of it may hold the pipe open. */
const OUTPUT_GRACE_MS = 100;

export const probeScript: Probe = (target, finish) => {
  const child = start(target);
  let isOver = false;
  let grace: NodeJS.Timeout | undefined;
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const letGo = (): void => {
    isOver = true;
    clearTimeout(grace);
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  const end = (result: ProbeResult): void => {
    if (isOver) return;
    letGo();
    finish(result);
  };
  let wroteTooMuch = false;
  const output = collect(child, () => {
    wroteTooMuch = true;
    killGroup(child);
  });
  const judge = (): void => {
    end(wroteTooMuch ? failed('the script wrote more than 64 KiB') : judgeExit(child, output()));
  };
  child.on('error', (error) => {
    const name = target.settings.command[0];
    end(isLocalLack(error) ? failedBy(error) : failedBy(error, `cannot start ${plain(name)}: `));
  });
  child.on('exit', () => {
    if (!isOver) grace = setTimeout(judge, OUTPUT_GRACE_MS);
  });
  child.on('close', judge);
  return {
    expire() {
      const line = firstLine(output());
      const said = line === '' ? '' : `: ${line}`;
      return failed(`the script did not end within ${duration(target.settings.timeoutMs)}${said}`);
    },
    cancel() {
      killGroup(child);
      letGo();
      return gone;
    },
  };
};

function start({ key, address, port, settings }: HealthTarget): ChildProcess {
  const [program, ...parameters] = settings.command;
  const nothing = openSync('/dev/null', 'r+');
  try {
    const stdio: Array<'ignore' | 'pipe' | number> = ['ignore', 'pipe', 'pipe'];
    for (const number of inheritedDescriptors()) {
      while (stdio.length <= number) stdio.push('ignore');
      stdio[number] = nothing;
    }
    const { PATH = '/usr/sbin:/usr/bin:/sbin:/bin', LANG = 'C.UTF-8', TZ } = process.env;
    return spawn(program, parameters, {
      cwd: '/',
      detached: true,
      stdio: stdio as StdioOptions,
      env: {
        PATH,
        LANG,
        ...(TZ === undefined ? {} : { TZ }),
        WEIR_BACKEND: key,
        WEIR_ADDRESS: address,
        WEIR_PORT: String(port),
      },
    });
  } finally {
    closeSync(nothing);
  }
}

/** Keeps the beginning of what a script writes; `overflow` is called when it writes too much. */
function collect(child: ChildProcess, overflow: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  const take = (chunk: Buffer): void => {
    if (size < KEPT_OUTPUT_BYTES) chunks.push(Buffer.from(chunk.subarray(0, KEPT_OUTPUT_BYTES)));
    size += chunk.length;
    if (size > MAX_OUTPUT_BYTES) overflow();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', take);
    stream?.on('error', () => {});
  }
  return () => Buffer.concat(chunks).toString('utf8');
}

function judgeExit(child: ChildProcess, output: string): ProbeResult {
  const line = firstLine(output);
  const said = line === '' ? '' : `: ${line}`;
  if (child.signalCode !== null)
    return failed(`the script was ended by ${child.signalCode}${said}`);
  const text = `exit code ${child.exitCode}${said}`;
  return child.exitCode === 0 ? passed(text) : failed(text);
}

function firstLine(output: string): string {
  return plain(output.trimStart().split('\n', 1)[0]);
}

/**
 * Kills a script and what it started. Only while it runs or waits to be collected: then its number,
 * which is also that of its group, cannot belong to another.
 */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Gone in this moment: nothing is left to kill.
  }
}
