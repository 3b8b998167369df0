// The files that an application is made of: its module and what that imports by relative paths, wherever it
// leads. Control reads them to know whether they have changed, and has Node check the module's syntax, so
// that what cannot even be parsed refuses a reload instead of ending what runs. It never runs any of it.
// Invariant: whatever stands at the path (a folder, a pipe, gigabytes), this ends, by a version or an error.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { WeirError } from '../base/errors.ts';

/** Bytes of one application's files together, and how many files are looked at. */
const BYTES_MAX = 16 * 2 ** 20;
const FILES_MAX = 500;
const SYNTAX_CHECK_MS = 10_000;
/** `import … from './a.mjs'`, `export … from`, `import './a.mjs'`, `import('./a.mjs')`. */
const RELATIVE_IMPORT = /\b(?:from|import)\s*\(?\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g;

export interface ModuleFiles {
  /** Another one for other content. */
  readonly version: string;
  readonly importsFiles: boolean;
}

/**
 * What an application is made of just now.
 * @param name of the application, for the error
 * @throws WeirError ERR_APPLICATION_MODULE when it cannot be read, is no file, or is too large
 */
export function readModule(name: string, path: string): ModuleFiles {
  const hash = createHash('sha256');
  const files = [path];
  let bytes = 0;
  for (const file of files) {
    const isModule = file === path;
    const content = isModule ? readPart(name, file) : readImport(file);
    bytes += content?.length ?? 0;
    if (bytes > BYTES_MAX || files.length > FILES_MAX) {
      throw unreadable(name, path, `it is larger than ${BYTES_MAX / 2 ** 20} MiB with its imports`);
    }
    // What is not there now, and is there later, is a change.
    hash.update(`${file}\0${content?.length ?? 'none'}\0`).update(content ?? '');
    for (const [, , specifier] of content?.toString('utf8').matchAll(RELATIVE_IMPORT) ?? []) {
      const imported = resolve(dirname(file), specifier);
      if (!files.includes(imported)) files.push(imported);
    }
  }
  return { version: hash.digest('hex').slice(0, 32), importsFiles: files.length > 1 };
}

function readPart(name: string, path: string): Buffer {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw unreadable(name, path, 'it is not a file');
    if (found.size > BYTES_MAX) {
      throw unreadable(name, path, `it is larger than ${BYTES_MAX / 2 ** 20} MiB`);
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof WeirError) throw error;
    throw unreadable(name, path, String((error as NodeJS.ErrnoException).code));
  }
}

/** A regular expression reads comments as well: what it finds need not be there. */
function readImport(path: string): Buffer | undefined {
  try {
    return readPart('', path);
  } catch {
    return undefined;
  }
}

function unreadable(name: string, path: string, why: string): WeirError {
  return new WeirError(
    'ERR_APPLICATION_MODULE',
    `the module of application ${name} cannot be read: ${path}: ${why}`,
    'a relative path is one beside the configuration file',
  );
}

/**
 * Has Node parse a module.
 * @throws WeirError ERR_APPLICATION_MODULE with the place, when it is no JavaScript
 */
export async function checkSyntax(name: string, path: string): Promise<void> {
  const said = await new Promise<string>((settle) => {
    const args = ['--check', path];
    execFile(process.execPath, args, { timeout: SYNTAX_CHECK_MS }, (error, _, stderr) => {
      settle(error === null ? '' : stderr);
    });
  });
  const [fault] = /^SyntaxError: .*$/m.exec(said) ?? [];
  if (fault === undefined) return;
  const [place] = said.split('\n', 1);
  throw new WeirError(
    'ERR_APPLICATION_MODULE',
    `the module of application ${name} cannot be read: ${place.replace(/^file:\/\//, '')}: ${fault}`,
    'mend it, and reload again',
  );
}
