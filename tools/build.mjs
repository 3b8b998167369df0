// `npm run build`: compiles everything to dist/, then puts what switches packets into one file each.
// One file, because V8 knows the value of a constant of the same module while it compiles, but reads an
// imported one from its cell at every use, and compares an imported function before every call. A packet's
// way has some two hundred of them: 85 ns with separate files, 72 in one (bench/micro/filter.ts, 1,024
// connections, Node 20.20).

import { spawnSync } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';

const TOP = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(TOP, 'dist');
/** Newer than every source of what is in dist/. */
export const BUILD_STAMP = join(DIST, '.weir-build-stamp');
/** What is put into one file, and its name in dist/. */
const BUNDLES = [
  ['src/switching/main.js', 'switching-processor.js'],
  ['bench/micro/filter.js', 'filter-benchmark.js'],
];

async function bundle(input, output) {
  const { rolldown } = await import('rolldown');
  const bundled = await rolldown({
    input: join(DIST, input),
    platform: 'node',
    external: ['koffi', /^node:/],
    logLevel: 'warn',
  });
  await bundled.write({ file: join(DIST, output), format: 'esm', sourcemap: true });
  await bundled.close();
}

/** @returns the exit status: 0, or that of the compiler, which has said what is wrong. */
async function build() {
  // The stamp bears the time at which the build began: a file saved meanwhile is newer than it.
  const begun = new Date();
  const compiler = join(TOP, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status } = spawnSync(execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: TOP,
    stdio: 'inherit',
  });
  if (status !== 0) return status ?? 1;
  for (const [input, output] of BUNDLES) await bundle(input, output);
  mkdirSync(DIST, { recursive: true });
  writeFileSync(BUILD_STAMP, '');
  utimesSync(BUILD_STAMP, begun, begun);
  return 0;
}

if (argv[1] === fileURLToPath(import.meta.url)) exit(await build());
