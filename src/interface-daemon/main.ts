// The process `weir: interface`: the interface daemon (53 of Fig. 8) with what it has inherited, the
// pseudo-network device's descriptor and main memory. It has no capability, no timer and no listener; it
// sleeps in poll(2) when nobody has anything to send.

import { Log } from '../base/log.ts';
import { readPlan } from '../base/process-plan.ts';
import { HEADER_STOPPING } from '../memory/layout.ts';
import { DAEMON_PID, daemonWord, STORAGE_FRAME_MAX } from '../memory/packet-storage.ts';
import { attachMainMemory } from '../memory/region.ts';
import { clockMs } from '../sys/clock.ts';
import { drainEvent, signalEvent } from '../sys/event-fd.ts';
import { attachMemoryFile } from '../sys/main-memory.ts';
import { EVENT_ERROR, Sleeper } from '../sys/poll.ts';
import { readFrame, writeFrame } from '../sys/tap.ts';
import { InterfaceDaemon } from './interface-daemon.ts';

/** Longest sleep: the supervisor wants to see that it is not stuck. */
const SLEEP_MS = 500;
/** While there is no device: what comes for it meanwhile is counted as refused. */
const SLEEP_WITHOUT_DEVICE_MS = 50;

const plan = readPlan('interface');
process.title = 'weir: interface';
const log = new Log('interface');
// The terminal's Ctrl-C goes to every process of the group: the supervisor alone decides.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});

const range = attachMemoryFile(plan.memoryFileDescriptor, plan.memorySize);
const memory = attachMainMemory(range.buffer);
const { deviceFileDescriptor: device, daemonEventFileDescriptor: event } = plan;
const scratch = range.mapPrivate(STORAGE_FRAME_MAX + 1);
const scratchAddress = range.numericAddressOf(scratch);
const base = range.numericAddressOf(0);
const frames = {
  scratch,
  write: (offset: number, length: number) => writeFrame(device, base + offset, length),
  // One byte more than fits, so that what was cut off is known by its length.
  read: () => readFrame(device, scratchAddress, STORAGE_FRAME_MAX + 1),
};
const daemon = new InterfaceDaemon(memory, frames, (processor) =>
  signalEvent(plan.eventFileDescriptors[processor]),
);
const EVENT = 0;
const DEVICE = 1;
const sleeper = new Sleeper([event, device]);
/** For when the other one does not sleep: a descriptor without a device has an error to tell at once. */
const sleeperWithoutDevice = new Sleeper([event]);

const pidIndex = daemonWord(memory.layout, DAEMON_PID);
const pidAtStart = Atomics.load(memory.words, pidIndex);

/** Whether a supervisor that did not know of us has started another one in our place. */
function isReplaced(): boolean {
  const pid = Atomics.load(memory.words, pidIndex);
  return pid !== process.pid && pid !== pidAtStart;
}

function sleep(): void {
  if (!daemon.prepareToSleep()) return;
  sleeper.sleep(SLEEP_MS);
  let isWoken = sleeper.events(EVENT) !== 0;
  if (!isWoken && (sleeper.events(DEVICE) & EVENT_ERROR) !== 0) {
    sleeperWithoutDevice.sleep(SLEEP_WITHOUT_DEVICE_MS);
    isWoken = sleeperWithoutDevice.events(EVENT) !== 0;
  }
  if (isWoken) drainEvent(event);
  daemon.woke();
}

/** Ends when weir stops. */
function run(): void {
  while (memory.header(HEADER_STOPPING) === 0) {
    if (isReplaced()) {
      log.warning('another process is the interface daemon now: ending');
      return;
    }
    if (daemon.turn(clockMs()) === 0) sleep();
  }
  log.info('stopped');
}

run();
