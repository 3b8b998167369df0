// The lab without root. In a user namespace of its own a process is root over its own network
// namespaces, which is all that the lab needs (but it may not load BPF programs, so weir falls back
// to AF_PACKET there). Inside: a private /run, so that `ip netns` can keep its names, a private
// folder for scratch files, because pids inside mean nothing outside, and a /proc of its own. When
// the first process inside ends, the kernel ends all the others and takes the interfaces away.
// Signals cannot name a process inside from outside, so they travel through a pipe (descriptor 3);
// when that pipe closes, because the process outside has died, everything inside is killed.
// See user_namespaces(7), unshare(1).

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { PRIVATE_FOLDER_VARIABLE } from './clean-up.ts';

const PRIVATE_FOLDER = '/run/weir-lab';
const UNSHARE = [
  'unshare',
  '--user',
  '--map-root-user',
  '--net',
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
];

/**
 * What runs first inside, as process 1. The command stays in the foreground, so that it keeps the
 * terminal; the watcher beside it reads signal names until the pipe closes.
 */
const INIT_SCRIPT = `
mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit 125
mkdir -p /run/netns ${PRIVATE_FOLDER}
ip link set lo up
export ${PRIVATE_FOLDER_VARIABLE}=${PRIVATE_FOLDER}
if [ -n "$WEIR_LAB_PIPE" ]; then
  unset WEIR_LAB_PIPE
  (
    while read -r signal; do kill -s "$signal" "$(cat ${PRIVATE_FOLDER}/main.pid)"; done <&3
    kill -s KILL -- -1
  ) &
fi
sh -c 'echo $$ >"$0/main.pid"; exec "$@"' ${PRIVATE_FOLDER} "$@" 3<&-
exit $?
`;

let problem: string | undefined | null = null;

/** The command that runs another one as root of a user namespace of its own. */
export function userNamespaceCommand(command: string[]): string[] {
  return [...UNSHARE, 'sh', '-c', INIT_SCRIPT, 'sh', ...command];
}

function searchPath(): string {
  return `${process.env.PATH}:/usr/sbin:/sbin`;
}

function settingIs(name: string, value: string): boolean {
  const path = `/proc/sys/${name.replaceAll('.', '/')}`;
  return existsSync(path) && readFileSync(path, 'utf8').trim() === value;
}

/** Which of the usual settings forbids it, and what to do about that. */
function advice(): string {
  if (settingIs('kernel.unprivileged_userns_clone', '0')) {
    return 'sysctl kernel.unprivileged_userns_clone is 0: as root, set it to 1';
  }
  if (settingIs('user.max_user_namespaces', '0')) {
    return 'sysctl user.max_user_namespaces is 0: as root, set it to 10000';
  }
  if (settingIs('kernel.apparmor_restrict_unprivileged_userns', '1')) {
    return 'sysctl kernel.apparmor_restrict_unprivileged_userns is 1: as root, set it to 0';
  }
  return 'a container runtime or security policy forbids it: run as root, or with --privileged';
}

/** Why user namespaces cannot be had, with what to do; undefined when they can. Found out once. */
export function userNamespaceProblem(): string | undefined {
  if (problem !== null) return problem;
  const [program, ...args] = userNamespaceCommand(['ip', 'netns', 'add', 'probe']);
  const environment = { ...process.env, PATH: searchPath(), WEIR_LAB_PIPE: '' };
  const result = spawnSync(program, args, { encoding: 'utf8', env: environment });
  if (result.error !== undefined) {
    problem = `cannot run unshare (util-linux): ${result.error.message}`;
  } else if (result.status !== 0) {
    const output = result.stderr.trim() || `exit code ${result.status}`;
    problem = `${output.split('\n')[0]} (${advice()})`;
  } else {
    problem = undefined;
  }
  return problem;
}

/** Whether this process is already inside one that we have made. */
export function isInsideOurs(): boolean {
  return process.env[PRIVATE_FOLDER_VARIABLE] !== undefined;
}

/** Runs a command in a user namespace, with our terminal, and gives its exit code. */
export function runInUserNamespace(command: string[]): Promise<number> {
  const [program, ...args] = userNamespaceCommand(command);
  const child = spawn(program, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, PATH: searchPath(), WEIR_LAB_PIPE: '1' },
  });
  const pipe = child.stdio[3] as Writable;
  pipe.on('error', () => {});
  // A terminal's Ctrl-C reaches the processes inside by itself; here it must only not end us first.
  const ignore = () => {};
  const forward = () => pipe.write('TERM\n');
  process.on('SIGINT', ignore).on('SIGTERM', forward).on('SIGHUP', forward);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      process.off('SIGINT', ignore).off('SIGTERM', forward).off('SIGHUP', forward);
      resolve(code ?? 128);
    });
  });
}

/**
 * Runs this very Node process again as root of a user namespace, unless it is root or inside one.
 * @returns when the caller may go on: undefined if it has what it needs, else what is in the way
 *   and what to do. When the process inside has ended, this one ends with its exit code.
 */
export async function enterUserNamespace(): Promise<string | undefined> {
  if (process.getuid?.() === 0 || isInsideOurs()) return undefined;
  const forbidden = userNamespaceProblem();
  if (forbidden !== undefined) return `not root, and no user namespace: ${forbidden}`;
  const node = [process.execPath, ...process.execArgv];
  process.exit(await runInUserNamespace([...node, ...process.argv.slice(1)]));
}
