// The one description of main memory: which sections there are, in which order, how large their
// records are, who writes them. Every process computes the same layout from the same few sizes
// (connections, frames, processors), which stand in the header; so an offset computed here is valid
// in every process and after every restart.
//
//   section              record            count                written by
//   header               4096 B            1                    supervisor (words of their own: control)
//   processors           256 B             MAX_PROCESSORS       that switching processor (pid: supervisor)
//   counters             4096 B            processors           that switching processor
//   interfaces           256 B             MAX_INTERFACES       supervisor
//   configuration text   2 MiB             2 (A, B)             control
//   runtime state        10 MiB            2 (A, B)             control
//   configuration table  fixed             2 (A, B)             control, never the active one
//   routing table        fixed             2 (A, B)             control, never the active one
//   neighbor table       64 B              NEIGHBORS            switching processors (version word)
//   backend counters     128 B × BACKENDS  processors           that switching processor
//   service gauges       16 B × SERVICES   processors           that switching processor
//   connection bitmap    1 bit             connections          switching processors (atomic)
//   connection index     64 B              buckets              switching processors (compare-and-swap)
//   connection records   128 B             connections          switching processors (see tables/)
//   hand-over lanes      128 B + 8 B × 1024  processors²        one producer, one consumer each
//   return lanes         128 B + 8 B × n     processors²        one producer, one consumer each
//   packet storage       256 B, lanes        2 × processors     one producer, one consumer each
//   applications text    1 MiB             2 (A, B)             control
//   application shares   1024 B            16 × processors      that switching processor
//   application tables   1 MiB             MAX_APPLICATIONS     the application, on any processor
//   frame owners         4 B               frames               whoever owns the frame
//   frames (UMEM)        2048 B            frames               whoever owns the frame
//
// All offsets are bytes from the start of main memory, all below 2 GiB, so that they are int32.

import { assert } from '../base/assert.ts';

/** 'WEIR' in the first word. */
export const MAGIC = 0x52494557;
/** Raised whenever the meaning of any byte of main memory changes. */
export const LAYOUT_VERSION = 7;

export const CACHE_LINE_SIZE = 64;
export const MAX_PROCESSORS = 64;
export const MAX_INTERFACES = 64;
/**
 * The number of the pseudo-network device, behind which the control host's own programs are: as an
 * interface like others it has a block, counters and routes.
 */
export const CONTROL_INTERFACE = MAX_INTERFACES - 1;
export const MAX_SERVICES = 4096;
export const MAX_BACKENDS = 16384;
export const MAX_NEIGHBORS = 4096;
/** Network applications that can be configured at once. */
export const MAX_APPLICATIONS = 16;

export const HEADER_SIZE = 4096;
export const PROCESSOR_SIZE = 256;
export const COUNTERS_SIZE = 4096;
export const INTERFACE_SIZE = 256;
/** Room for MAX_BACKENDS of them, each on lines of its own. */
export const CONFIGURATION_TEXT_SIZE = 2 << 20;
/** Room for what is known of MAX_BACKENDS of them (control/runtime-state.ts). */
export const RUNTIME_STATE_SIZE = 10 << 20;
export const APPLICATIONS_TEXT_SIZE = 1 << 20;
/** State and counts of an application on one processor (application-memory.ts). */
export const APPLICATION_SHARE_SIZE = 1024;
/** The table of an application, which all processors share. */
export const APPLICATION_TABLE_SIZE = 1 << 20;
export const NEIGHBOR_SIZE = 64;
export const BACKEND_COUNTERS_SIZE = 128;
/** Connections open of a service, in two books (tables/connection-gauges.ts). */
export const SERVICE_GAUGES_SIZE = 16;
export const BUCKET_SIZE = 64;
export const BUCKET_SLOTS = 16;
export const CONNECTION_SIZE = 128;
export const LANE_HEADER_SIZE = 128;
export const LANE_MESSAGE_SIZE = 8;
export const HAND_OVER_LANE_CAPACITY = 1024;
/** What the interface daemon and the supervisor say of the daemon, before the lanes of packet storage. */
export const STORAGE_HEADER_SIZE = 256;
/** A frame of packet storage with its length (packet-storage.ts). */
export const STORAGE_SLOT_SIZE = 2048;
export const STORAGE_LANE_CAPACITY = 1024;
export const STORAGE_LANE_SIZE = LANE_HEADER_SIZE + STORAGE_SLOT_SIZE * STORAGE_LANE_CAPACITY;
export const FRAME_SIZE = 2048;
/** Where the first byte of a received frame stands in its chunk: room for headers to be added. */
export const FRAME_HEADROOM = 256;
/** The longest frame that one chunk can hold behind its headroom. */
export const FRAME_DATA_MAX = FRAME_SIZE - FRAME_HEADROOM;

/** Bytes of one buffer of the configuration table; its inside: tables/configuration-table.ts. */
export const CONFIGURATION_TABLE_SIZE = 8 << 20;
/** Bytes of one buffer of the routing table; its inside: tables/routing-table.ts. */
export const ROUTING_TABLE_SIZE = 6 << 20;

// Words (int32) of the header.
export const HEADER_MAGIC = 0;
export const HEADER_LAYOUT_VERSION = 1;
export const HEADER_CONNECTIONS = 2;
export const HEADER_FRAMES = 3;
export const HEADER_PROCESSORS = 4;
export const HEADER_TOTAL_SIZE = 5;
export const HEADER_INTERFACES = 6;
/** Wall-clock second at which this main memory was made (supervisor). */
export const HEADER_STARTED_AT = 7;
export const HEADER_SUPERVISOR_PID = 8;
export const HEADER_CONTROL_PID = 9;
/** How often control was restarted (supervisor). */
export const HEADER_CONTROL_RESTARTS = 10;
/** Raised by the supervisor while it takes weir down: nobody restarts anybody. */
export const HEADER_STOPPING = 11;
// One cache line each for the words that are polled once per turn.
/** Generation of the configuration table; its lowest bit names the active buffer (control). */
export const HEADER_CONFIGURATION_GENERATION = 16;
/** Generation of the routing table; its lowest bit names the active buffer (control). */
export const HEADER_ROUTING_GENERATION = 32;
/** The global epoch of memory reclamation (switching processors, compare-and-swap). */
export const HEADER_EPOCH = 48;
/** Generation of the configuration text; its lowest bit names the active buffer (control). */
export const HEADER_TEXT_GENERATION = 64;
/** Byte lengths of the two configuration texts (control). */
export const HEADER_TEXT_LENGTH_A = 65;
/** @public Reached as HEADER_TEXT_LENGTH_A + 1. */
export const HEADER_TEXT_LENGTH_B = 66;
/** Wall-clock second at which the running configuration was applied (control). */
export const HEADER_APPLIED_AT = 67;
/** Reloads that were refused because of faults (control). */
export const HEADER_RELOADS_REFUSED = 68;
/** Random word that the hash of connection keys starts from, so that nobody can choose colliding ones. */
export const HEADER_HASH_SEED = 69;
/** How often the book of the connection gauges was changed (switching processor 0). */
export const HEADER_BOOK = 80;
/** Recounts of the connection gauges that were asked for (switching processors that begin again). */
export const HEADER_RECOUNTS_WANTED = 81;
/** Generation of the runtime state; its lowest bit names the active buffer (control). */
export const HEADER_RUNTIME_GENERATION = 70;
/** Byte lengths of the two runtime states (control). */
export const HEADER_RUNTIME_LENGTH_A = 71;
/** @public Reached as HEADER_RUNTIME_LENGTH_A + 1. */
export const HEADER_RUNTIME_LENGTH_B = 72;

/** Generation of the applications' plans; its lowest bit names the active buffer (control). */
export const HEADER_APPLICATIONS_GENERATION = 73;
/** Byte lengths of the two texts of the applications' plans (control). */
export const HEADER_APPLICATIONS_LENGTH_A = 74;
/** @public Reached as HEADER_APPLICATIONS_LENGTH_A + 1. */
export const HEADER_APPLICATIONS_LENGTH_B = 75;

// Words of a processor's block. The supervisor writes the first line, the processor the others.
export const PROCESSOR_PID = 0;
/** How often the supervisor has restarted it. */
export const PROCESSOR_RESTARTS = 1;
/** Monotonic millisecond (int32) at which its process was last found dead. */
export const PROCESSOR_DIED_AT = 2;
/** CPU it is pinned to, or -1. */
export const PROCESSOR_CPU = 3;
/** 1 when its last process ended by its own doing: an exit, or a fault that the kernel ended it for. */
export const PROCESSOR_ENDED_ITSELF = 4;
/** One of STATE_*: written by the processor, set to STATE_DEAD by the supervisor. */
export const PROCESSOR_STATE = 16;
/** The epoch it has seen, or EPOCH_QUIESCENT while it sleeps or is dead. */
export const PROCESSOR_EPOCH = 17;
export const PROCESSOR_CONFIGURATION_GENERATION = 18;
export const PROCESSOR_ROUTING_GENERATION = 19;
/** Monotonic millisecond (int32) of its last turn, refreshed at least every 100 ms. */
export const PROCESSOR_HEARTBEAT = 20;
/** 1 while it sleeps in poll(2): whoever hands it a frame wakes it. */
export const PROCESSOR_SLEEPING = 21;
/** Monotonic millisecond (int32) at which its present process began to switch. */
export const PROCESSOR_RUNNING_SINCE = 22;
/** The book (HEADER_BOOK) that it has carried all records of its share into. */
export const PROCESSOR_BOOK = 23;
/** The place, counted from 1, of the application that it is running just now; 0: none. */
export const PROCESSOR_APPLICATION = 24;

export const STATE_DEAD = 0;
export const STATE_STARTING = 1;
export const STATE_RUNNING = 2;
export const STATE_STOPPED = 3;

/** Shown instead of an epoch by a processor that holds no reference into any table. */
export const EPOCH_QUIESCENT = -1;

// Words of an interface's block (supervisor).
export const INTERFACE_KIND = 0;
/** How its frames are moved: one of the modes in netif/contract.ts. */
export const INTERFACE_MODE = 1;
export const INTERFACE_INDEX = 2;
export const INTERFACE_MAC_HIGH = 3;
export const INTERFACE_MAC_LOW = 4;
export const INTERFACE_MTU = 5;
export const INTERFACE_QUEUES = 6;
/** 1 while the link is up. */
export const INTERFACE_LINK_UP = 7;
/** How often it was opened again after it had gone. */
export const INTERFACE_REOPENED = 8;
/** Frames that one poll of its driver by weir may take; 0: busy polling is not configured. */
export const INTERFACE_BUSY_POLL_BUDGET = 9;
/** The errno that refused busy polling; 0: none. */
export const INTERFACE_BUSY_POLL_ERRNO = 10;
/** Of its queues, those of which the kernel knows the NAPI instance. */
export const INTERFACE_QUEUES_WITH_NAPI = 11;
/** Name in ASCII, 16 bytes, zero-terminated. */
export const INTERFACE_NAME = 12;
/** From this word on: the processor that polls queue 0, 1, … (up to MAX_QUEUES). */
export const INTERFACE_QUEUE_PROCESSOR = 16;
export const MAX_QUEUES = 48;

/** The sizes that main memory is made for. */
export interface MemorySizes {
  /** Connections the table can hold: 1024 … 16777215. */
  readonly connections: number;
  /** Packet frames: a power of two, 256 … 262144. */
  readonly frames: number;
  /** Switching processors: 1 … MAX_PROCESSORS. */
  readonly processors: number;
}

/** Byte offsets of all sections, and the counts that follow from the sizes. */
export interface Layout extends MemorySizes {
  readonly header: number;
  readonly processorBlocks: number;
  readonly counters: number;
  readonly interfaces: number;
  readonly configurationText: number;
  readonly runtimeState: number;
  readonly configurationTable: number;
  readonly routingTable: number;
  readonly neighborTable: number;
  readonly backendCounters: number;
  readonly serviceGauges: number;
  readonly connectionBitmap: number;
  readonly connectionIndex: number;
  /** Buckets of the connection index: a power of two; two entries a connection fill it at most 3/4. */
  readonly connectionBuckets: number;
  readonly connectionRecords: number;
  readonly handOverLanes: number;
  readonly handOverLaneSize: number;
  readonly returnLanes: number;
  readonly returnLaneSize: number;
  /** Messages one return lane can hold: every frame of its home processor. */
  readonly returnLaneCapacity: number;
  readonly packetStorage: number;
  readonly applicationsText: number;
  readonly applicationShares: number;
  readonly applicationTables: number;
  readonly frameOwners: number;
  readonly framesStart: number;
  readonly totalSize: number;
}

/** The smallest power of two that is at least `value` (1 … 2^30). */
export function powerOfTwoAtLeast(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** Buckets so that two index entries per connection fill at most three quarters of the slots. */
function bucketCount(connections: number): number {
  return powerOfTwoAtLeast(Math.ceil((connections * 2) / (BUCKET_SLOTS * 0.75)));
}

/**
 * Most bytes of main memory: all of it and the interfaces' rings, which are mapped behind it, must lie
 * below 2 GiB.
 */
export const MAIN_MEMORY_SIZE_MAX = 2 ** 31 - (256 << 20);

/** Bytes that main memory needs, whether there is room for them or not. */
export function mainMemorySize(sizes: MemorySizes): number {
  return placeSections(sizes).totalSize;
}

/**
 * Computes where everything stands. Throws an assertion when the sizes are out of range or when
 * main memory would be too large (the configuration's checks say so first).
 */
export function computeLayout(sizes: MemorySizes): Layout {
  const layout = placeSections(sizes);
  const { totalSize } = layout;
  assert(totalSize <= MAIN_MEMORY_SIZE_MAX, `main memory would need ${totalSize} bytes`);
  return layout;
}

function placeSections(sizes: MemorySizes): Layout {
  const { connections, frames, processors } = sizes;
  assert(connections >= 1024 && connections < 1 << 24, `connections out of range: ${connections}`);
  assert(frames >= 256 && frames <= 262144, `frames out of range: ${frames}`);
  assert(powerOfTwoAtLeast(frames) === frames, `frames is no power of two: ${frames}`);
  assert(processors >= 1 && processors <= MAX_PROCESSORS, `processors: ${processors}`);
  let next = 0;
  const section = (size: number, alignment = 4096): number => {
    const start = alignUp(next, alignment);
    next = start + size;
    // V8: an int32, lest the field become a boxed double that the packet path would unbox each time.
    return start | 0;
  };
  const connectionBuckets = bucketCount(connections);
  const returnLaneCapacity = powerOfTwoAtLeast(Math.ceil(frames / processors));
  const handOverLaneSize = LANE_HEADER_SIZE + LANE_MESSAGE_SIZE * HAND_OVER_LANE_CAPACITY;
  const returnLaneSize = LANE_HEADER_SIZE + LANE_MESSAGE_SIZE * returnLaneCapacity;
  const layout = {
    connections,
    frames,
    processors,
    connectionBuckets,
    returnLaneCapacity,
    handOverLaneSize,
    returnLaneSize,
    header: section(HEADER_SIZE),
    processorBlocks: section(PROCESSOR_SIZE * MAX_PROCESSORS),
    counters: section(COUNTERS_SIZE * processors),
    interfaces: section(INTERFACE_SIZE * MAX_INTERFACES),
    configurationText: section(CONFIGURATION_TEXT_SIZE * 2),
    runtimeState: section(RUNTIME_STATE_SIZE * 2),
    configurationTable: section(CONFIGURATION_TABLE_SIZE * 2),
    routingTable: section(ROUTING_TABLE_SIZE * 2),
    neighborTable: section(NEIGHBOR_SIZE * MAX_NEIGHBORS),
    backendCounters: section(BACKEND_COUNTERS_SIZE * MAX_BACKENDS * processors),
    serviceGauges: section(SERVICE_GAUGES_SIZE * MAX_SERVICES * processors),
    connectionBitmap: section(alignUp(Math.ceil(connections / 8), CACHE_LINE_SIZE)),
    connectionIndex: section(BUCKET_SIZE * connectionBuckets),
    connectionRecords: section(CONNECTION_SIZE * connections),
    handOverLanes: section(handOverLaneSize * processors * processors),
    returnLanes: section(returnLaneSize * processors * processors),
    packetStorage: section(STORAGE_HEADER_SIZE + STORAGE_LANE_SIZE * 2 * processors),
    applicationsText: section(APPLICATIONS_TEXT_SIZE * 2),
    applicationShares: section(APPLICATION_SHARE_SIZE * MAX_APPLICATIONS * processors),
    applicationTables: section(APPLICATION_TABLE_SIZE * MAX_APPLICATIONS),
    frameOwners: section(4 * frames),
    framesStart: section(FRAME_SIZE * frames, 1 << 21),
    totalSize: 0,
  };
  layout.totalSize = alignUp(next, 1 << 21);
  return layout;
}
