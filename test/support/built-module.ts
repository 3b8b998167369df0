// Tests that need a second process run it on the built program, because Node 20 cannot run
// TypeScript. `builtModule` gives the URL of a built file and builds first when it is older than its
// source, so such a test never runs yesterday's code.

import type { ChildProcess, StdioOptions } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const TOP = fileURLToPath(new URL('../../', import.meta.url));

function newestSource(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.name.endsWith('.ts') || entry.name.endsWith('.test.ts')) continue;
    newest = Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return newest;
}

let built = false;

function build(): void {
  if (built) return;
  built = true;
  const stamp = join(TOP, 'dist', '.weir-build-stamp');
  const folders = [join(TOP, 'src'), join(TOP, 'test', 'support')];
  const newest = Math.max(...folders.map(newestSource));
  if (existsSync(stamp) && statSync(stamp).mtimeMs > newest) return;
  spawnSync(execPath, [join(TOP, 'tools', 'build.mjs')], { cwd: TOP, stdio: 'inherit' });
}

/** URL of the built form of e.g. 'src/sys/libc.ts'. */
export function builtModule(source: string): string {
  build();
  return pathToFileURL(join(TOP, 'dist', source.replace(/\.ts$/, '.js'))).href;
}

/** Starts Node on the text of an ES module; `fds` become its file descriptors 3, 4, … */
export function spawnModule(
  text: string,
  fds: readonly number[] = [],
  args: readonly string[] = [],
): ChildProcess {
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit', ...fds];
  return spawn(execPath, ['--input-type=module', '-e', text, '--', ...args], { cwd: TOP, stdio });
}
