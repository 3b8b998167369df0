// A host that knows nothing but Ethernet, for scenarios: `send IF FIRST COUNT` sends numbered frames,
// `receive IF` collects them until its standard input ends and then prints which numbers came whole.

import { argv, exit, stdin, stdout } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { libc, setIntOption } from '../../src/sys/libc.ts';
import { readLink } from '../../src/sys/link.ts';
import { openPacketSocket, readPacketStatistics } from '../../src/sys/packet-socket.ts';

/** EtherType for local experiments (IEEE 802). */
const ETHER_TYPE = 0x88b5;
const LENGTH = 200;

function frameOf(number: number): Uint8Array {
  const frame = new Uint8Array(LENGTH).fill(2, 0, 12);
  const view = new DataView(frame.buffer);
  view.setUint16(12, ETHER_TYPE);
  view.setUint32(14, number);
  for (let i = 18; i < LENGTH; i++) frame[i] = (number * 7 + i) & 0xff;
  return frame;
}

const [command, interfaceName, first, count] = argv.slice(2);
const interfaceIndex = readLink(interfaceName).index;
const fd = openPacketSocket({ interfaceIndex, interfaceName });

async function send(): Promise<void> {
  let sent = 0;
  for (let i = 0; i < Number(count); i++) {
    if (libc.send(fd, frameOf(Number(first) + i), LENGTH, 0) === LENGTH) sent += 1;
    if (i % 32 === 31) await sleep(2);
  }
  stdout.write(`${sent}\n`);
}

async function receive(): Promise<void> {
  // SO_RCVBUFFORCE: the default holds some 250 frames, 15 ms of what is sent here.
  setIntOption(fd, 1, 33, 16 << 20, 'setsockopt(SO_RCVBUFFORCE)');
  const numbers: number[] = [];
  let wrong = 0;
  let ended = false;
  stdin.on('end', () => {
    ended = true;
  });
  stdin.resume();
  stdout.write('{"ready":true}\n');
  const buffer = new Uint8Array(2048);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const length = libc.recv(fd, buffer, buffer.length, 0);
    if (length < 0) {
      if (ended) break;
      await sleep(1);
    } else if (view.getUint16(12) === ETHER_TYPE) {
      const number = view.getUint32(14);
      const whole = Buffer.compare(buffer.subarray(0, length), frameOf(number)) === 0;
      if (whole) numbers.push(number);
      else wrong += 1;
    }
  }
  stdout.write(`${JSON.stringify({ numbers, wrong, drops: readPacketStatistics(fd).drops })}\n`);
}

await (command === 'send' ? send() : receive());
exit(0);
