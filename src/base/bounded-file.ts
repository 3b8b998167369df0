// Reads a whole file that somebody has named: a configuration, a key. It may be anything by mistake or by malice, and
// a process that serves others must not wait for it: a FIFO without a writer would hold it up for ever, a device
// may do anything when it is opened, and a file of gigabytes would fill the memory.
// Invariant: only regular files are read, without waiting, and at most `mostBytes` of them. What it is may
// change between the look and the opening, so the open file is looked at again.

import { Buffer } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';

const { O_NOCTTY, O_NONBLOCK, O_RDONLY } = constants;

export interface FileContent {
  readonly bytes: Buffer;
  /** Its rights, as of stat(2). */
  readonly mode: number;
}

/** Why it was not read: the name of the errno, or in words. */
export class UnreadableFile extends Error {
  readonly why: string;

  constructor(why: string) {
    super(why);
    this.why = why;
  }
}

/** @throws UnreadableFile */
export function readBoundedFile(path: string, mostBytes: number): FileContent {
  let file: number | undefined;
  try {
    if (!statSync(path).isFile()) throw new UnreadableFile('it is no regular file');
    file = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    const status = fstatSync(file);
    if (!status.isFile()) throw new UnreadableFile('it is no regular file');
    // What procfs shows has a size of 0 and content: so the size is no measure of it.
    if (status.size > mostBytes) throw new UnreadableFile(tooLarge(mostBytes));
    return { bytes: readAll(file, status.size, mostBytes), mode: status.mode };
  } catch (error) {
    if (error instanceof UnreadableFile) throw error;
    throw new UnreadableFile((error as NodeJS.ErrnoException).code ?? String(error));
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function readAll(file: number, size: number, mostBytes: number): Buffer {
  const pieces: Buffer[] = [];
  let total = 0;
  for (;;) {
    const piece = Buffer.alloc(Math.max(4096, size - total + 1));
    const count = readSync(file, piece);
    if (count === 0) return Buffer.concat(pieces, total);
    total += count;
    if (total > mostBytes) throw new UnreadableFile(tooLarge(mostBytes));
    pieces.push(piece.subarray(0, count));
  }
}

function tooLarge(mostBytes: number): string {
  const mebibytes = mostBytes / 1_048_576;
  return `it is larger than ${mebibytes >= 1 ? `${mebibytes} MiB` : `${mostBytes} bytes`}`;
}
