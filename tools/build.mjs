// `npm run build`: compiles everything to dist/, then puts what switches packets into one file each.
// One file, because V8 knows the value of a constant of the same module while it compiles, but reads an
// imported one from its cell at every use, and compares an imported function before every call. A packet's
// way has some two hundred of them: 85 ns with separate files, 72 in one (bench/micro/filter.ts, 1,024
// connections, Node 20.20).

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';

const TOP = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(TOP, 'dist');
const COMPILER = join(TOP, 'node_modules', 'typescript', 'bin', 'tsc');
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

/** Packages that are copied into the agent's file; their licences ask to be there as well. */
const AGENT_PACKAGES = ['commander', 'yaml', 'zod'];

/**
 * The agent as one file that needs Node and nothing else, so that it is installed by copying it, and the
 * library `weir/agent`. They are made of the sources, not of dist/: tests make them for themselves.
 *
 * @param folder where weir-agent.js and weir-agent-library.js are written
 */
export async function bundleAgent(folder) {
  const { rolldown } = await import('rolldown');
  const licences = AGENT_PACKAGES.map((name) => {
    const text = readFileSync(join(TOP, 'node_modules', name, 'LICENSE'), 'utf8');
    return `${name}:\n${text.replaceAll('*/', '* /')}`;
  });
  const outputs = [
    { input: 'main.ts', file: 'weir-agent.js', banner: '#!/usr/bin/env node', licences },
    { input: 'load-reporter.ts', file: 'weir-agent-library.js', banner: '', licences: [] },
  ];
  for (const { input, file, banner, licences } of outputs) {
    const bundled = await rolldown({
      input: join(TOP, 'src', 'agent', input),
      platform: 'node',
      external: [/^node:/],
      logLevel: 'warn',
    });
    const footer = licences.length === 0 ? '' : `/*\n${licences.join('\n')}\n*/`;
    await bundled.write({ file: join(folder, file), format: 'esm', banner, footer });
    await bundled.close();
  }
}

/** What has types for others: the library `weir/agent`, and what applications are written for. */
const DECLARED = [join('src', 'agent', 'load-reporter.ts'), join('src', 'apps', 'contract.ts')];

/**
 * Types of `weir/agent` and `weir/application`, for `exports` in package.json.
 *
 * @param folder where src/agent/load-reporter.d.ts and so on are written
 * @returns the exit status of the compiler
 */
export function declareLibrary(folder) {
  const options = ['--ignoreConfig', '--declaration', '--emitDeclarationOnly', '--skipLibCheck'];
  options.push('--module', 'nodenext', '--target', 'es2023', '--strict', '--types', 'node');
  options.push('--allowImportingTsExtensions', '--rootDir', '.', '--outDir', folder);
  const { status } = spawnSync(execPath, [COMPILER, ...options, ...DECLARED], {
    cwd: TOP,
    stdio: 'inherit',
  });
  return status;
}

/** @returns the exit status: 0, or that of the compiler, which has said what is wrong. */
async function build() {
  // The stamp bears the time at which the build began: a file saved meanwhile is newer than it.
  const begun = new Date();
  const { status } = spawnSync(execPath, [COMPILER, '-p', 'tsconfig.build.json'], {
    cwd: TOP,
    stdio: 'inherit',
  });
  if (status !== 0) return status ?? 1;
  for (const [input, output] of BUNDLES) await bundle(input, output);
  await bundleAgent(DIST);
  const types = declareLibrary(join(DIST, 'types'));
  if (types !== 0) return types ?? 1;
  mkdirSync(DIST, { recursive: true });
  writeFileSync(BUILD_STAMP, '');
  utimesSync(BUILD_STAMP, begun, begun);
  return 0;
}

if (argv[1] === fileURLToPath(import.meta.url)) exit(await build());
