// One side of the torture of packet storage: a process of its own that fills a lane with frames that can
// be known again, or takes them out and looks whether each is whole and in its place. Both go through
// the same memory file. Killed and started again by src/memory/packet-storage.test.ts; run from the
// built program:  node storage-torture.js ROLE FD SIZE SECONDS
// A frame bears its number in its first word, and is that number's bytes throughout. Prints one line of
// JSON when its time is over; a consumer that finds a fault ends with it at once.

import { argv, stdout } from 'node:process';
import { laneToHost, STORAGE_FRAME_MAX, StorageLane } from '../../src/memory/packet-storage.ts';
import { attachMainMemory } from '../../src/memory/region.ts';
import { attachMemoryFile } from '../../src/sys/main-memory.ts';

const [role, fd, size, milliseconds] = argv.slice(2);
const memory = attachMainMemory(attachMemoryFile(Number(fd), Number(size)).buffer);
const lane = new StorageLane(memory, laneToHost(memory.layout, 0));
/** Where the producer keeps the number of its next frame: it outlives a kill. */
const NEXT = memory.layout.framesStart >> 2;
const end = performance.now() + Number(milliseconds);

const lengthOf = (number: number): number => 14 + ((Math.imul(number, 2654435761) >>> 8) % 1700);

function produce(): object {
  let full = 0;
  let number = memory.words[NEXT];
  while (performance.now() < end) {
    const burst = 1 + (number & 31);
    for (let i = 0; i < burst; i++) {
      const at = lane.reserve();
      if (at < 0) {
        full += 1;
        break;
      }
      const length = lengthOf(number);
      memory.bytes.fill(number & 0xff, at, at + length);
      memory.view.setInt32(at, number);
      lane.commit(length);
      number = (number + 1) | 0;
    }
    lane.publish();
    // A kill in between repeats numbers, and never leaves one out.
    memory.words[NEXT] = number;
  }
  return { produced: number, full };
}

function fault(what: string): never {
  stdout.write(`${JSON.stringify({ fault: what })}\n`);
  process.exit(1);
}

function consume(): object {
  let last = -1;
  let taken = 0;
  while (performance.now() < end || lane.available() > 0) {
    const available = lane.available();
    const count = available > 64 ? 64 : available;
    for (let i = 0; i < count; i++) {
      const at = lane.frame(i);
      const length = lane.length(i);
      const number = memory.view.getInt32(at);
      if (length > STORAGE_FRAME_MAX || length !== lengthOf(number)) fault(`length ${length}`);
      for (let k = 4; k < length; k++) {
        if (memory.bytes[at + k] !== (number & 0xff)) fault(`frame ${number} is torn at ${k}`);
      }
      if (last >= 0 && number > last + 1) fault(`${last} is followed by ${number}`);
      last = number;
    }
    lane.release(count);
    taken += count;
  }
  return { taken, last };
}

const result = role === 'producer' ? produce() : consume();
stdout.write(`${JSON.stringify(result)}\n`);
