// How each part of the benchmarks measures, in words, for the document. No figures of results here:
// those come from a result. A part that is not listed is told by its tables alone.

/** Heading and paragraphs of a part. */
export interface Method {
  readonly heading: string;
  readonly paragraphs: readonly string[];
}

export const METHODS: Readonly<Record<string, Method>> = {
  packets: {
    heading: 'Packets per second',
    paragraphs: [
      'UDP packets to one service, in frames of 60 bytes without their check sequence. The generator (an XDP ' +
        'program that the kernel runs on live frames) and the receiver (an XDP program that counts and ' +
        'drops) share CPU 0; the contender has CPU 1 for itself. Each packet bears a number, so that ' +
        'loss and reordering are counted at the receiver and not taken from anybody’s statistics. All ' +
        'connections exist before the measurement begins.',
      'HAProxy carries no UDP and is left out. `XDP redirect` only changes MAC addresses and is the ' +
        'ceiling of this machine, not a balancer. The C twin is our forwarder in C: the same tables, ' +
        'checks and rewriting over the same AF_XDP sockets.',
    ],
  },
  filter: {
    heading: 'The packet filter alone',
    paragraphs: [
      'Parsing, look-up, rewriting and accounting of 60-byte frames in memory without any input or ' +
        'output, in bursts of 64, as CPU time per packet; connections are picked at random. The C twin ' +
        'does the same work on the same memory layout.',
    ],
  },
  connections: {
    heading: 'TCP connections and requests',
    paragraphs: [
      'The same load is offered to every contender: new connections, and HTTP requests over kept ' +
        'connections, each at a fixed rate, from clients and to servers on CPU 0. CPU time is that of ' +
        'the contender, kernel work for it included. Added latency is the contender’s minus that ' +
        'of the direct way in the same round; where noise is larger than the difference it can be ' +
        'below zero.',
    ],
  },
  bulk: {
    heading: 'Bulk data',
    paragraphs: [
      'iperf3 over TCP through each contender; CPU time of the contender for each gigabyte carried.',
    ],
  },
  latency: {
    heading: 'Latency of UDP requests',
    paragraphs: [
      'A request and its answer over UDP at a fixed rate. weir waits in two ways: `adaptive` sleeps when ' +
        'nothing comes in, `busy` never does and needs a CPU of its own.',
    ],
  },
  flip: {
    heading: 'A new configuration under load',
    paragraphs: [
      'Steady UDP traffic at half of what the contender carries, while the configuration is replaced ' +
        'again and again; every new one changes weights and servers of all services. The receiver records ' +
        'the longest time between two packets. The machine itself stops for a while now and then: the same ' +
        'time without any replacement stands beside it, and only the difference is the contender’s. ' +
        'Compiling is measured in the process of the benchmark by calling the control processor’s own ' +
        'parser and publisher on main memory of its own, with no switching processor that would have to be ' +
        'waited for; the time until active is what `weir reload` takes over the control socket, parsing ' +
        'and that wait included.',
    ],
  },
  memory: {
    heading: 'Memory',
    paragraphs: [
      'Resident memory of each process from /proc, split into the main memory that all of weir’s ' +
        'processes share and what each has of its own. Main memory is reserved at the start; its pages ' +
        'become resident when they are first used, so that it grows with the highest number of ' +
        'connections and frames that ever were, up to its size and no further. Shared pages count in every ' +
        'process that has touched them: the sum over processes would count them several times.',
    ],
  },
  garbage: {
    heading: 'Garbage collections',
    paragraphs: [
      'Garbage collections and deoptimisations that V8 reports in the switching processor under full ' +
        'load, after a warm-up.',
    ],
  },
};

/** The method of a part; its name alone where nothing is written about it. */
export function methodOf(part: string): Method {
  return METHODS[part] ?? { heading: part, paragraphs: [] };
}
