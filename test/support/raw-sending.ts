// How a scenario sends frames of its own making from one of the lab's hosts (frame-sender.ts).

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeScratchFolder } from '../../src/lab/clean-up.ts';
import { type LabProcess, start } from '../../src/lab/command.ts';
import type { LabHost } from '../../src/lab/network.ts';
import { builtModule } from './built-module.ts';

/** Begins to send frames on a host's first interface; the process ends when all are sent. */
export function startSending(host: LabHost, frames: readonly Uint8Array[]): LabProcess {
  const folder = makeScratchFolder('frames');
  const file = join(folder, 'frames');
  const pieces = frames.flatMap((frame) => [
    Uint8Array.of(frame.length >>> 8, frame.length & 0xff),
    frame,
  ]);
  writeFileSync(file, Buffer.concat(pieces));
  const program = fileURLToPath(builtModule('test/support/frame-sender.ts'));
  return start(process.execPath, [program, 'eth0', file], {
    namespace: host.namespace,
    logFile: join(folder, 'log'),
  });
}

/** Sends frames and waits until they are sent. @returns how many the kernel took */
export async function sendFrames(host: LabHost, frames: readonly Uint8Array[]): Promise<number> {
  const process = startSending(host, frames);
  const code = await process.exited;
  if (code !== 0) throw new Error(`the frame sender ended with ${code}: ${process.log()}`);
  return Number(process.log().trim());
}
