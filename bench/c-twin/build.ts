// Builds the C twin: what weir's filter and forwarder cost when they are written in C, for the
// benchmarks and never shipped. It takes clang, its C library's headers and the kernel's; where they are
// missing there is no twin, and whoever wanted it says so. Programs that are newer than all sources are
// left alone. They run on the machine that built them: -march=native.
//   node dist/bench/c-twin/build.js

import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { execute, findProgram, topFolder } from '../../src/lab/command.ts';

const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-march=native', '-Wall', '-Wextra'];
/** Parts of the headers that one of the two programs does not need. */
const EXPECTED = ['-Wno-unused-function'];
const BUILD_LIMIT_MS = 60_000;

export interface CTwin {
  /** The packet filter alone, on a treadmill of packets. */
  readonly filter: string;
  /** The forwarder between two AF_XDP interfaces. */
  readonly forwarder: string;
}

export interface NoCTwin {
  readonly reason: string;
}

function newestOf(folder: string): number {
  const sources = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  return Math.max(...sources.map((name) => statSync(join(folder, name)).mtimeMs));
}

function build(name: string, sources: string, into: string): string {
  const program = join(into, name);
  if (existsSync(program) && statSync(program).mtimeMs > newestOf(sources)) return program;
  // Under its own name only when it is whole: another benchmark may be running the one before.
  const unfinished = `${program}.${process.pid}`;
  const args = [...FLAGS, ...EXPECTED, join(sources, `${name}.c`), '-o', unfinished];
  execute('clang', args, { timeoutMs: BUILD_LIMIT_MS });
  renameSync(unfinished, program);
  return program;
}

/** Builds both programs where that is needed. @returns where they are, or why there are none */
export function buildCTwin(): CTwin | NoCTwin {
  if (findProgram('clang') === undefined) {
    return { reason: 'clang is not installed: the C twin is built for the benchmark only' };
  }
  const sources = join(topFolder(), 'bench', 'c-twin');
  if (!existsSync(sources)) return { reason: `${sources} is not there: no C twin in a package` };
  const into = join(topFolder(), 'dist', 'bench', 'c-twin', 'bin');
  mkdirSync(into, { recursive: true });
  try {
    return {
      filter: build('filter', sources, into),
      forwarder: build('forwarder', sources, into),
    };
  } catch (error) {
    return { reason: `the C twin does not build: ${(error as Error).message}` };
  }
}

if (process.argv[1]?.endsWith('c-twin/build.js')) {
  const built = buildCTwin();
  process.stdout.write(
    'reason' in built ? `${built.reason}\n` : `${Object.values(built).join('\n')}\n`,
  );
  process.exitCode = 'reason' in built ? 1 : 0;
}
