// Sends frames that a scenario has made, byte for byte, from the namespace it is run in:
//   frame-sender INTERFACE FILE
// The file holds one frame after the other, each behind its length in two bytes. A pause after every
// few keeps the receiver's rings from overflowing. Prints how many the kernel has taken.

import { readFileSync } from 'node:fs';
import { argv, exit, stdout } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { libc } from '../../src/sys/libc.ts';
import { readLink } from '../../src/sys/link.ts';
import { openPacketSocket } from '../../src/sys/packet-socket.ts';

/** Frames between two pauses of a millisecond. */
const GROUP = 48;

const [interfaceName, file] = argv.slice(2);
const interfaceIndex = readLink(interfaceName).index;
const fd = openPacketSocket({ interfaceIndex, interfaceName });
const bytes = readFileSync(file);
let sent = 0;
let frames = 0;
for (let at = 0; at < bytes.length; frames++) {
  const length = bytes.readUInt16BE(at);
  const frame = bytes.subarray(at + 2, at + 2 + length);
  if (libc.send(fd, frame, length, 0) === length) sent += 1;
  at += 2 + length;
  if (frames % GROUP === GROUP - 1) await sleep(1);
}
stdout.write(`${sent}\n`);
exit(0);
