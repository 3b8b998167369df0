// Leaves the machine as it was. Everything that the lab makes (namespaces, processes, folders, control
// groups) is registered here, and goes when this process ends: by itself, by a signal, or by an uncaught error.
// Only SIGKILL gets past that, so every name holds the pid of its maker, and `clearLeftovers` takes
// away what belongs to makers that are no more.
// All of it is synchronous, because nothing else runs in an exit handler.
// Invariant: nothing is ever touched that does not bear our name and a dead maker's or our own pid.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pid } from 'node:process';

/** Set in a user namespace: its pids mean nothing outside, so neither may its names meet others. */
export const PRIVATE_FOLDER_VARIABLE = 'WEIR_LAB_FOLDER';

const NAMESPACE_FOLDER = '/run/netns';
const NAMESPACE_NAME = /^weir-(\d+)-/;
const FOLDER_NAME = /^weir-lab-(\d+)-/;
const CONTROL_GROUPS = '/sys/fs/cgroup';
const CONTROL_GROUP_NAME = FOLDER_NAME;
const GONE_DEADLINE_MS = 3000;

const namespaces = new Set<string>();
const processes = new Set<number>();
const folders = new Set<string>();
const controlGroups = new Set<string>();
let handlersInstalled = false;

/** What was removed. */
export interface Removed {
  namespaces: string[];
  processes: number[];
  folders: string[];
}

function ip(...args: string[]): string {
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  const options = { encoding: 'utf8', env: { ...process.env, PATH: path } } as const;
  return spawnSync('ip', args, options).stdout ?? '';
}

function scratchRoot(): string {
  return process.env[PRIVATE_FOLDER_VARIABLE] ?? tmpdir();
}

/** Whether there is such a process. One that has ended but whom nobody has reaped is not alive. */
export function isAlive(target: number): boolean {
  try {
    // The state follows the command's name, which stands in parentheses and may hold anything.
    const stat = readFileSync(`/proc/${target}/stat`, 'latin1');
    return !'ZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

function kill(target: number): void {
  try {
    process.kill(target, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** The processes inside a network namespace. */
export function processesIn(namespace: string): number[] {
  return ip('netns', 'pids', namespace)
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

/** The namespaces of all labs on this machine, alive or left over. */
export function labNamespaces(): string[] {
  if (!existsSync(NAMESPACE_FOLDER)) return [];
  return readdirSync(NAMESPACE_FOLDER).filter((name) => NAMESPACE_NAME.test(name));
}

/** The scratch folders of all labs on this machine, alive or left over. */
export function labFolders(): string[] {
  return readdirSync(scratchRoot())
    .filter((name) => FOLDER_NAME.test(name))
    .map((name) => join(scratchRoot(), name));
}

/** Kills what runs in a namespace, then removes it. Its interfaces go with it. */
export function removeNamespace(name: string): number[] {
  const killed = new Set<number>();
  const end = performance.now() + GONE_DEADLINE_MS;
  // A process that forks while it is being killed leaves a child: look again until none is left.
  for (let left = processesIn(name); left.length > 0; left = processesIn(name)) {
    for (const each of left) {
      killed.add(each);
      kill(each);
    }
    if (performance.now() > end) break;
    sleep(10);
  }
  ip('netns', 'delete', name);
  namespaces.delete(name);
  return [...killed];
}

/** Registers a namespace that is about to be made. */
export function registerNamespace(name: string): void {
  installHandlers();
  namespaces.add(name);
}

/** Registers a process; the function given back forgets it, for when it has ended. */
export function registerProcess(target: number): () => void {
  installHandlers();
  processes.add(target);
  return () => processes.delete(target);
}

/** Makes a scratch folder that goes when the lab does. Its path is short enough for a socket. */
export function makeScratchFolder(label: string): string {
  installHandlers();
  const folder = mkdtempSync(join(scratchRoot(), `weir-lab-${pid}-${label}-`));
  folders.add(folder);
  return folder;
}

/** Removes a scratch folder before the end. */
export function removeScratchFolder(folder: string): void {
  if (!folders.delete(folder)) return;
  rmSync(folder, { recursive: true, force: true });
}

/** Registers a control group that is about to be made. */
export function registerControlGroup(folder: string): void {
  installHandlers();
  controlGroups.add(folder);
}

/** Kills what runs in a control group, then removes it. */
export function removeControlGroup(folder: string): void {
  controlGroups.delete(folder);
  const end = performance.now() + GONE_DEADLINE_MS;
  while (existsSync(folder)) {
    try {
      const pids = readFileSync(join(folder, 'cgroup.procs'), 'latin1').split('\n');
      for (const each of pids.map(Number).filter((each) => each > 0)) kill(each);
      rmdirSync(folder);
    } catch {
      // Whoever was killed is in it until the kernel has taken leave of it.
      if (performance.now() > end) return;
      sleep(10);
    }
  }
}

/** The control groups of all labs on this machine, alive or left over. */
function labControlGroups(): string[] {
  // Groups are the whole machine's: from within a user namespace nobody can tell whose they are.
  if (process.env[PRIVATE_FOLDER_VARIABLE] !== undefined || !existsSync(CONTROL_GROUPS)) return [];
  const hierarchies = readdirSync(CONTROL_GROUPS, { withFileTypes: true });
  const roots = hierarchies.filter((each) => each.isDirectory()).map(({ name }) => name);
  return ['', ...roots].flatMap((root) => {
    const folder = join(CONTROL_GROUPS, root);
    const names = readdirSync(folder).filter((name) => CONTROL_GROUP_NAME.test(name));
    return names.map((name) => join(folder, name));
  });
}

/** Takes away everything that this process has made. May be called again and again. */
export function cleanAll(): void {
  for (const target of processes) kill(target);
  processes.clear();
  for (const name of [...namespaces]) removeNamespace(name);
  for (const folder of [...controlGroups]) removeControlGroup(folder);
  for (const folder of [...folders]) removeScratchFolder(folder);
}

/** Takes away what earlier runs have left that did not end in good order. */
export function clearLeftovers(): Removed {
  const removed: Removed = { namespaces: [], processes: [], folders: [] };
  for (const name of labNamespaces()) {
    if (isAlive(Number(NAMESPACE_NAME.exec(name)?.[1]))) continue;
    removed.processes.push(...removeNamespace(name));
    removed.namespaces.push(name);
  }
  for (const folder of labControlGroups()) {
    if (!isAlive(Number(CONTROL_GROUP_NAME.exec(basename(folder))?.[1])))
      removeControlGroup(folder);
  }
  for (const folder of labFolders()) {
    const name = folder.slice(scratchRoot().length + 1);
    if (isAlive(Number(FOLDER_NAME.exec(name)?.[1]))) continue;
    rmSync(folder, { recursive: true, force: true });
    removed.folders.push(folder);
  }
  return removed;
}

/** An uncaught error ends in 'exit' too, so that event and the signals are all the ways out. */
function installHandlers(): void {
  if (handlersInstalled) return;
  handlersInstalled = true;
  process.on('exit', cleanAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const onSignal = () => {
      cleanAll();
      process.off(signal, onSignal);
      // Whoever else listens decides what happens next; with nobody left, end as the signal would.
      if (process.listenerCount(signal) === 0) process.kill(pid, signal);
    };
    process.on(signal, onSignal);
  }
}
