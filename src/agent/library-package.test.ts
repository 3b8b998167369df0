// The library as others import it: package.json says where it is, its types compile in a program
// that has only them, and a program that uses it wrongly does not compile.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readText, TOP } from '../../test/support/source-text.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-library-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Compiles a program and gives what the compiler says. */
function compile(text: string): string {
  writeFileSync(join(folder, 'program.ts'), text);
  const compiler = join(TOP, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--module', 'nodenext'];
  const all = [compiler, ...options, '--types', 'node', 'program.ts'];
  return spawnSync(execPath, all, { cwd: folder, encoding: 'utf8' }).stdout;
}

describe('the package', () => {
  const { exports: exported } = JSON.parse(readText('package.json'));

  it('has the library and its types at weir/agent', async () => {
    const build = await import(pathToFileURL(join(TOP, 'tools', 'build.mjs')).href);
    const installed = join(folder, 'node_modules', 'weir');
    mkdirSync(join(installed, 'dist'), { recursive: true });
    writeFileSync(join(installed, 'package.json'), readText('package.json'));
    await build.bundleAgent(join(installed, 'dist'));
    expect(build.declareLibrary(join(installed, 'dist', 'types'))).toBe(0);
    symlinkSync(join(TOP, 'node_modules', '@types'), join(folder, 'node_modules', '@types'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const head = `import { createServer } from 'node:http';
      import { type LoadReporter, loadReporter } from 'weir/agent';\n`;
    const good = `${head}const reporter: LoadReporter = loadReporter({ backend: 'web/b1' });
      reporter.watch(createServer()).report({ applicationUtilization: 0.5 });
      reporter.wish({ administrative: 'drain' });\n`;
    expect(compile(good)).toBe('');
    expect(compile(`${head}loadReporter({ backends: 'web/b1' });\n`)).toContain('backends');
    expect(compile(`${head}loadReporter().report({ clients: '5' });\n`)).toContain('error');
    // And it is there at run time.
    const program = "import { loadReporter } from 'weir/agent'; loadReporter().stop();";
    writeFileSync(join(folder, 'run.js'), program);
    expect(spawnSync(execPath, [join(folder, 'run.js')], { encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(Object.keys(exported['./agent'])).toEqual(['types', 'default']);
  });
});
