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
      'UDP packets to one service, in frames of 60 bytes without their check sequence. Generator and ' +
        'receiver (XDP programs, one sends, the other counts and drops) share CPU 0; the contender has CPU 1. ' +
        'The same is offered to every contender: what generator and receiver carry together over a bare cable. ' +
        'Each packet bears a number, so that loss and reordering are counted at the receiver and not taken ' +
        'from anybody’s statistics. All connections exist before the measurement begins.',
      'To weir and the C twin the kernel hands packets over, and on a veth it does its half of receiving on ' +
        'the sender’s CPU: in the plain figures that half is CPU 0’s work. `all on one core` has it on CPU 1 ' +
        'too, where all of nftables’ work is; that is the comparison core for core. It is done by kernel ' +
        'threads; weir sleeps when idle then, and the threads have the lowest priority, so that what was ' +
        'received is sent before more is received. `spinning` is the same without sleep and with equal ' +
        'priority, for weir and its twin, which knows nothing else.',
      'HAProxy carries no UDP and is left out. `XDP redirect` is the ceiling of this machine and no balancer: ' +
        'it looks up nothing. The C twin is our forwarder in C: the same tables, checks and rewriting over ' +
        'the same AF_XDP sockets.',
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
      'The same load is offered to every contender: new connections with one request each, and HTTP requests ' +
        'over kept connections, both at fixed rates, from clients and to one server on CPU 0. CPU time is the ' +
        'time in which the CPU under test was not idle, kernel work included, less what direct left there; ' +
        'beside it stand the contender’s threads alone and the whole machine’s, because each errs elsewhere. ' +
        'weir sleeps when there is nothing to do while CPU time is taken; `busy polling` uses a whole CPU ' +
        'whatever it carries. The C twin only spins and is left out, here and in the next two parts.',
      'Added latency is the contender’s minus that of the direct way in the same round; where noise is larger ' +
        'than the difference it can be below zero.',
    ],
  },
  bulk: {
    heading: 'Bulk data',
    paragraphs: [
      'iperf3 over TCP through each contender, as much as it carries; CPU time for a gigabyte is taken at a ' +
        'rate that all can carry.',
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
        'the longest time between two packets. Beside it stand the same with nothing going on (the machine’s ' +
        'own pauses) and with files that weir parses, checks and then refuses. With two CPUs this parsing takes ' +
        'CPU time from generator and receiver, and they pause; what a flip itself costs is what `replacing` ' +
        'has beyond `parsing`.',
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
        'processes share and what each has of its own. Main memory is all there from the start where the ' +
        'kernel makes huge pages of it; a process’s shared pages are those of it that it has touched, which ' +
        'grows with the highest number of connections and frames that ever were, up to its size and no ' +
        'further. A page counts in every process that has touched it. A connection ' +
        'of the kernel’s is the object alone, without extensions and hash table; of proxies only their ' +
        'processes are counted, not the kernel’s sockets.',
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
