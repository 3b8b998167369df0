// The process `weir: switching N`: maps main memory, opens its queues on the sockets that it inherited,
// and switches until weir stops. It does not return to Node's event loop meanwhile, but to load network
// applications, between whose pieces it goes on with its turns: no timer, no listener and no promise of
// weir's runs here. It has no capability; everything it may touch
// was opened by the supervisor.

import { WeirError } from '../base/errors.ts';
import './inlining.ts';
import { Log } from '../base/log.ts';
import { type QueuePlan, readPlan } from '../base/process-plan.ts';
import {
  CONTROL_INTERFACE,
  HEADER_STOPPING,
  INTERFACE_MODE,
  PROCESSOR_PID,
} from '../memory/layout.ts';
import { attachMainMemory } from '../memory/region.ts';
import { AfPacketQueue } from '../netif/af-packet/af-packet-queue.ts';
import type { PacketGeometry } from '../netif/af-packet/geometry.ts';
import { AfXdpQueue, receiveLimit } from '../netif/af-xdp/af-xdp-queue.ts';
import { INTERFACE_MODES } from '../netif/contract.ts';
import { PacketStorageQueue } from '../netif/packet-storage-queue.ts';
import { runOnCpus } from '../sys/affinity.ts';
import { clockMs } from '../sys/clock.ts';
import { drainEvent, signalEvent } from '../sys/event-fd.ts';
import { attachMemoryFile } from '../sys/main-memory.ts';
import { mapPacketRings } from '../sys/packet-socket.ts';
import { Sleeper } from '../sys/poll.ts';
import { allowTakeOver } from '../sys/process.ts';
import type { XdpRingSizes } from '../sys/xdp-socket.ts';
import { fastenGlobals } from './fastened-globals.ts';
import { IDLE_SLEEP, IdleStrategy } from './idle.ts';
import { type ProcessorQueue, SwitchingProcessor } from './processor.ts';

/** Longest sleep: the heartbeat, expiry and announcements want a turn now and then. */
const SLEEP_MS = 50;
/** Longest sleep while frames wait for a neighbor or for room to be sent. */
const SLEEP_WHILE_HOLDING_MS = 1;

const plan = readPlan('switching');
process.title = `weir: switching ${plan.processor}`;
const log = new Log(`switching ${plan.processor}`);
// The terminal's Ctrl-C goes to every process of the group: the supervisor alone decides.
process.on('SIGINT', () => {});
// So does a terminal that is closed.
process.on('SIGHUP', () => {});

const range = attachMemoryFile(plan.memoryFileDescriptor, plan.memorySize);
const memory = attachMainMemory(range.buffer);
allowTakeOver();
try {
  if (plan.cpu >= 0) runOnCpus([plan.cpu]);
} catch (error) {
  if (!(error instanceof WeirError)) throw error;
  // A CPU that was taken offline or out of our cpuset: slower is better than not at all.
  log.warning(`runs on any CPU: ${error.message}`);
}

function processorQueue(queue: QueuePlan): ProcessorQueue {
  const { interfaceNumber, socketNumber, fileDescriptor } = queue;
  return {
    interfaceNumber,
    socketNumber,
    open(pool) {
      if (queue.kind === 'af-xdp') {
        const ringSizes = queue.geometry as XdpRingSizes;
        const { frames, processors } = memory.layout;
        const mode = memory.words[memory.interfaceWord(interfaceNumber, INTERFACE_MODE)];
        return new AfXdpQueue({
          fileDescriptor,
          ringSizes,
          receiveLimit: receiveLimit(frames, processors, own.length, ringSizes.receive),
          isZeroCopy: INTERFACE_MODES[mode] === 'native zero-copy',
          isBusyPolled: queue.isBusyPolled,
          socket: socketNumber,
          range,
          memory,
          pool,
        });
      }
      const geometry = queue.geometry as PacketGeometry;
      const { receive, transmit } = geometry;
      const rings = mapPacketRings(range, fileDescriptor, receive, transmit);
      return new AfPacketQueue(memory, pool, socketNumber, fileDescriptor, rings, geometry);
    },
  };
}

/** The control host is an interface like others, of which every processor has a queue. */
function controlQueues(): ProcessorQueue[] {
  const { daemonEventFileDescriptor } = plan;
  if (daemonEventFileDescriptor < 0) return [];
  const open: ProcessorQueue['open'] = (pool) =>
    new PacketStorageQueue(memory, pool, plan.processor, daemonEventFileDescriptor);
  // It never owns a frame, so that no number is needed to name it as owner.
  return [{ interfaceNumber: CONTROL_INTERFACE, socketNumber: 0xffff, open }];
}

const own = plan.queues.filter(({ processor }) => processor === plan.processor);
const myEvent = plan.eventFileDescriptors[plan.processor];
const wake = (processor: number): void => signalEvent(plan.eventFileDescriptors[processor]);
const processor = new SwitchingProcessor(
  memory,
  plan.processor,
  [...own.map(processorQueue), ...controlQueues()],
  wake,
  clockMs(),
);
/** First of what the sleeper listens to. */
const MY_EVENT = 0;
const sleeper = new Sleeper([myEvent, ...own.map(({ fileDescriptor }) => fileDescriptor)]);
const idle = new IdleStrategy(plan.idle);

const pidWord = memory.processorWord(plan.processor, PROCESSOR_PID);
const pidAtStart = Atomics.load(memory.words, pidWord);
const ownPid = process.pid;

/**
 * Ends when a supervisor has put another process in our place: one that came after ours was killed and
 * did not know of us. Two must not use the same rings.
 */
function endIfReplaced(): void {
  const pid = Atomics.load(memory.words, pidWord);
  if (pid === ownPid || pid === pidAtStart) return;
  // What main memory says of this processor is the other's to change.
  log.warning('another process is this switching processor now: ending');
  exit(0);
}

/** As it was before applications could not reach it any more. */
const exit = process.exit.bind(process);
const { applications } = processor;
// Said when an application is loaded or switched off: seldom.
applications.loader.report = (message, isGood) =>
  isGood ? log.info(message) : log.warning(message);
applications.loader.beforeOthersCode = fastenGlobals;
// All that runs in the event loop here is code of applications.
process.on('uncaughtException', (error) => applications.strayed(error, clockMs()));
process.on('unhandledRejection', (error) => applications.strayed(error, clockMs()));

/** The tight loop. Ends when weir stops, and when applications are to be loaded. */
function run(): void {
  while (memory.header(HEADER_STOPPING) === 0 && !applications.loader.isStale) {
    endIfReplaced();
    const todo = idle.after(processor.turn(clockMs()));
    if (todo === IDLE_SLEEP && processor.prepareToSleep()) {
      const longest = applications.sleepLimitMs(SLEEP_MS);
      sleeper.sleep(processor.heldCount() > 0 ? SLEEP_WHILE_HOLDING_MS : longest);
      if (sleeper.events(MY_EVENT) !== 0) drainEvent(myEvent);
      processor.woke();
      idle.woke();
    }
  }
}

/** Modules come by Node's event loop, which has its turn between any two of ours. */
async function loadApplications(): Promise<void> {
  let isLoading = true;
  const loading = applications.load(clockMs()).finally(() => {
    isLoading = false;
  });
  while (isLoading && memory.header(HEADER_STOPPING) === 0) {
    endIfReplaced();
    processor.turn(clockMs());
    applications.stepAside(true);
    await new Promise((resolve) => setImmediate(resolve));
    applications.stepAside(false);
  }
  if (!isLoading) await loading;
}

async function switchPackets(): Promise<void> {
  run();
  while (memory.header(HEADER_STOPPING) === 0) {
    await loadApplications();
    run();
  }
  processor.stop();
  log.info('stopped');
}

// Explicitly, because timers of applications would keep the process, and because what is thrown here is
// nothing that strayed.
switchPackets().then(
  () => exit(0),
  (error) => {
    log.error((error as Error).stack ?? String(error));
    exit(1);
  },
);
