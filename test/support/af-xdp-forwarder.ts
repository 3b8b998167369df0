// The smallest switching processor for the scenario of AF_XDP: forwards every frame between the two
// queues that it inherits, unchanged. Main memory is file descriptor 3, the sockets are 4 and 5.
// Prints one JSON line when it has recovered and one when it is told (SIGTERM) to stop.

import process, { argv, exit, stdout } from 'node:process';
import { FramePool, OWNER_FREE, OWNER_INTERFACE } from '../../src/memory/frame-pool.ts';
import { attachMainMemory } from '../../src/memory/region.ts';
import { AfXdpQueue } from '../../src/netif/af-xdp/af-xdp-queue.ts';
import { attachMemoryFile } from '../../src/sys/main-memory.ts';
import { readXdpStatistics } from '../../src/sys/xdp-socket.ts';

const [size, ring] = argv.slice(2).map(Number);
const ringSizes = { fill: ring, completion: ring, receive: ring, transmit: ring };
const BURST = 64;

const range = attachMemoryFile(3, size);
const memory = attachMainMemory(range.buffer);
const pool = new FramePool(memory, 0);
const queues = [4, 5].map(
  (fileDescriptor, socket) =>
    new AfXdpQueue({ fileDescriptor, ringSizes, socket, range, memory, pool }),
);

function framesInRings() {
  return queues.map((queue) => {
    const inRings = new Uint8Array(memory.layout.frames);
    queue.framesInRings(inRings);
    return { socket: queue.socket, inRings };
  });
}

/** How many frames stand under each owner; 'other' must be 0 between two turns. */
function countOwners(): Record<string, number> {
  const counts = { free: 0, interface: 0, other: 0 };
  for (let frame = 0; frame < memory.layout.frames; frame++) {
    const owner = pool.ownerOf(frame);
    if (owner === OWNER_FREE) counts.free += 1;
    else if ((owner & ~0xffff) === OWNER_INTERFACE) counts.interface += 1;
    else counts.other += 1;
  }
  return counts;
}

function report(values: Record<string, unknown>): void {
  stdout.write(`${JSON.stringify(values)}\n`);
}

const offsets = new Int32Array(BURST);
const lengths = new Int32Array(BURST);
let forwarded = 0;

function turn(): void {
  for (let i = 0; i < 2; i++) {
    const from = queues[i];
    const to = queues[1 - i];
    const count = from.receiveBurst(offsets, lengths, BURST);
    for (let k = 0; k < count; k++) {
      if (to.transmit(offsets[k], lengths[k]) === 1) forwarded += 1;
      else pool.give(offsets[k]);
    }
    to.flush();
    to.reclaim();
    from.refill();
  }
}

const recovered = pool.recover(framesInRings());
report({ recovered, suspects: pool.suspectCount, free: pool.freeCount });

let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});

function loop(): void {
  for (let i = 0; i < 100; i++) turn();
  if (!stopping) {
    // A pause: the machine of a test has few CPUs, and the other hosts need them.
    setTimeout(loop, 0);
    return;
  }
  const marks = framesInRings();
  const confirmed = pool.confirmSuspects(marks);
  const inRings = marks.reduce((sum, m) => sum + m.inRings.reduce((a, b) => a + b, 0), 0);
  const { misplaced, freeCount } = pool;
  const kernel = queues.map(({ fileDescriptor }) => readXdpStatistics(fileDescriptor));
  report({ forwarded, confirmed, misplaced, freeCount, inRings, owners: countOwners(), kernel });
  exit(0);
}
loop();
