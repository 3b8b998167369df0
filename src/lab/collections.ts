// What V8 does in a switching processor while it works: collections of garbage, and compiled code that
// is thrown away because it met what it had not been compiled for. A processor that is switching never
// returns to its event loop, so nothing within it could tell; V8 itself is told to, by a few lines that
// Node loads before the program when the environment says so:
//
//   collections        one line each on standard output, with milliseconds since V8 began; the first is
//                      asked for, at a time that is noted, so that the others' times are known
//   deoptimisations    several lines each, at once, in a file of this trace's own
//
// Standard output is written when it fills or the process ends: to be read after weir has stopped.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeScratchFolder } from './clean-up.ts';

const COLLECTION = /^\[(\d+):0x[0-9a-f]+\] +(\d+) ms: (\S+) /;
const START = '.started';
const CODE = '.code';

export interface Deoptimisation {
  readonly inFunction: string;
  readonly reason: string;
}

/** Loaded by every process of weir; does something only in switching processors. */
function preload(folder: string): string {
  const prefix = JSON.stringify(`${folder}/`);
  const text = `
    import { setFlagsFromString } from 'node:v8';
    import { writeFileSync } from 'node:fs';
    import { runInNewContext } from 'node:vm';
    if (process.argv[2]?.startsWith('weir: switching')) {
      const prefix = ${prefix} + process.pid;
      setFlagsFromString('--trace-gc');
      setFlagsFromString('--expose-gc');
      runInNewContext('gc')();
      writeFileSync(prefix + '${START}', String(process.hrtime.bigint()));
      setFlagsFromString('--redirect-code-traces');
      setFlagsFromString('--redirect-code-traces-to=' + prefix + '${CODE}');
      setFlagsFromString('--trace-deopt');
    }`;
  return `data:text/javascript,${encodeURIComponent(text)}`;
}

/** The clock that all processes of a machine share and nobody sets, in milliseconds. */
export function traceTimeMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class CollectionTrace {
  /** For weir's process: its children inherit it. */
  readonly environment: Record<string, string>;
  readonly #folder = makeScratchFolder('collections');

  /** @param youngMiB room for objects that no collection has met, where it is to be less than weir asks for */
  constructor(youngMiB?: number) {
    const less = youngMiB === undefined ? '' : ` --max-semi-space-size=${youngMiB}`;
    this.environment = { NODE_OPTIONS: `--import=${preload(this.#folder)}${less}` };
  }

  /** How many switching processors have begun to be traced. */
  get processes(): number {
    return this.#files(START).length;
  }

  /** All code that was thrown away until now, oldest first. */
  deoptimisations(): Deoptimisation[] {
    return this.#files(CODE).flatMap((file) =>
      readFileSync(join(this.#folder, file), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('[bailout'))
        .map((line) => ({
          inFunction: /<JSFunction ([^\s>]*)/.exec(line)?.[1] ?? '?',
          reason: /reason: ([^)]*)\)/.exec(line)?.[1] ?? '?',
        })),
    );
  }

  /**
   * The collections of garbage between two times (`traceTimeMs`), as V8 calls them.
   * @param log weir's standard output, after it has stopped
   */
  collections(log: string, fromMs: number, toMs: number): string[] {
    const found: string[] = [];
    const origins = new Map<string, number>();
    for (const line of log.split('\n')) {
      const match = COLLECTION.exec(line);
      if (match === null) continue;
      const [, pid, afterMs, name] = match;
      const start = join(this.#folder, `${pid}${START}`);
      if (!existsSync(start)) continue;
      // The first is the one that was asked for, at a time that is known.
      const asked = Number(readFileSync(start, 'utf8')) / 1e6;
      if (!origins.has(pid)) origins.set(pid, asked - Number(afterMs));
      const at = origins.get(pid)! + Number(afterMs);
      if (at >= fromMs && at <= toMs) found.push(name);
    }
    return found;
  }

  #files(ending: string): string[] {
    return readdirSync(this.#folder).filter((name) => name.endsWith(ending));
  }
}
