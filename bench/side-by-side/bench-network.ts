// The network that every contender of the benchmarks runs in, and what has to be true of it so that
// they can be compared:
//
//   client ─ eth0 ──── ext0 CONTENDER int0 ──── up0 ┐
//          └ direct0 ───────────────── client-direct ┴ bridge ─ b1, b2 …
//
// Each cable is a veth pair. A frame that is put into one end is worked upon at the other end by
// whoever polls there, and left alone that is the CPU that sent it: a switch would do its clients'
// and servers' work on its own CPU. So the ends that belong to other hosts (eth0, up0, direct0,
// client-direct) each have a kernel thread of their own that polls (threaded NAPI), bound to CPU 0,
// where clients, servers and generator run: the hosts are as far apart as two machines would be. The
// threads have real-time priority: a cable holds 256 frames, and a receiver that had to wait for the
// end of the generator's time slice would lose what no contender has lost.
// A veth polls only while an XDP program or GRO is on there, and only then does it take frames that
// were redirected by XDP: that is why GRO is on at these ends, the same for every contender. Offloads
// for sending stay off, as everywhere in the lab.
// The switch's own ends, ext0 and int0, belong to the contender: see `pollByThread`.
//
// 'Direct' is the second cable, from the client to the servers' bridge: all that a packet passes
// otherwise (the client's stack, a cable into the bridge, the bridge, the cable to the server) but not
// the switch and not the cable in front of it. What a contender adds over direct is thus itself and one
// cable. Where the receiver stands in place of the servers (up0), direct is one bare cable.

import { readdirSync, readFileSync } from 'node:fs';
import { macAddress } from '../../src/lab/addressing.ts';
import { execute, ipBatch, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork, type SwitchInterface } from '../../src/lab/network.ts';
import type { Target } from './contender.ts';

/** Clients, servers, generator and receiver. */
export const LOAD_CPU = 0;
/** The contender under test; with more processors the CPUs that follow. */
export const CONTENDER_CPU = 1;
/** Source addresses of generators' packets (10.64, and 10.65 of a second one), behind the client. */
export const GENERATOR_NETWORK = '10.64.0.0/15';

const CABLE_BYTES = 1500;
const USUAL_GRO_BYTES = 65_536;
const DIRECT_INTERFACE = 'direct0';
const DIRECT_PEER = 'client-direct';
/** On the servers' side, beyond the addresses that the lab gives away itself. */
export const DIRECT_CLIENT_ADDRESS = '10.2.0.200';
const REAL_TIME_PRIORITY = '10';
const THREADS_DEADLINE_MS = 2000;

/** One end of a cable. */
export interface NetworkEnd {
  readonly namespace: string;
  readonly interface: string;
}

export interface KernelThread {
  readonly pid: number;
  readonly name: string;
}

export interface BenchNetworkOptions {
  /** Servers. Default 4. */
  readonly servers?: number;
  /** Queues of ext0 and int0. Default 1. */
  readonly queues?: number;
}

function napiThreads(interfaceName: string): KernelThread[] {
  const found: KernelThread[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const name = readFileSync(`/proc/${entry}/comm`, 'latin1').trim();
      // The kernel cuts names off at 15 characters.
      if (name.startsWith(`napi/${interfaceName}-`.slice(0, 15))) {
        found.push({ pid: Number(entry), name });
      }
    } catch {
      // It has ended.
    }
  }
  return found;
}

export class BenchNetwork {
  readonly lab: LabNetwork;
  readonly queues: number;
  readonly client: LabHost;
  readonly servers: readonly LabHost[];
  readonly switchNamespace: string;
  /** ext0 and int0. */
  readonly external: SwitchInterface;
  readonly internal: SwitchInterface;
  readonly virtualAddress: string;
  /** Where the generator sends from, and where what has passed the contender arrives. */
  readonly clientEnd: NetworkEnd;
  readonly receiverEnd: NetworkEnd;
  /** The same two for direct. */
  readonly directEnd: NetworkEnd;
  readonly directReceiverEnd: NetworkEnd;

  /** Builds the network; it is up when this returns. @throws WeirError ERR_LAB */
  constructor(options: BenchNetworkOptions = {}) {
    this.queues = options.queues ?? 1;
    this.lab = new LabNetwork({
      backends: options.servers ?? 4,
      queues: this.queues,
      xdpRedirect: true,
    });
    this.client = this.lab.client;
    this.servers = this.lab.servers;
    this.switchNamespace = this.lab.switchNamespace;
    const side = (wanted: 'external' | 'internal') =>
      this.lab.switchInterfaces.find((each) => each.side === wanted)!;
    this.external = side('external');
    this.internal = side('internal');
    this.virtualAddress = this.lab.virtualAddress;
    const { internalNamespace } = this.lab;
    this.clientEnd = { namespace: this.client.namespace, interface: 'eth0' };
    this.receiverEnd = { namespace: internalNamespace, interface: 'up0' };
    this.directEnd = { namespace: this.client.namespace, interface: DIRECT_INTERFACE };
    this.directReceiverEnd = { namespace: internalNamespace, interface: DIRECT_PEER };
    this.#addDirectCable();
    for (const end of [this.clientEnd, this.receiverEnd, this.directEnd, this.directReceiverEnd]) {
      const { threads } = this.pollByThread(end, ...this.loadCpus);
      for (const { pid } of threads) execute('chrt', ['-f', '-p', REAL_TIME_PRIORITY, String(pid)]);
    }
  }

  /** The service at the virtual address, through the switch. */
  serviceTarget(port: number): Target {
    return {
      address: this.virtualAddress,
      port,
      clientInterface: this.clientEnd.interface,
      nextHopMac: this.external.macAddress,
    };
  }

  /** A server without the switch. */
  directTarget(port: number, server = this.servers[0]): Target {
    return {
      address: server.address,
      port,
      clientInterface: this.directEnd.interface,
      nextHopMac: macAddress(server.address),
    };
  }

  /** Where a receiver must stand to see what is sent to a target, in front of all servers. */
  receiverOf(target: Target): NetworkEnd {
    const isDirect = target.clientInterface === this.directEnd.interface;
    return isDirect ? this.directReceiverEnd : this.receiverEnd;
  }

  /**
   * Where the load comes from, queue after queue. A veth takes a redirected frame into the queue that
   * the sender's CPU has the number of (modulo their count), so two queues need senders on an even and
   * on an odd CPU, and neither may be one under test (1, 2): 0 and 3.
   */
  get loadCpus(): readonly number[] {
    return this.queues === 1 ? [LOAD_CPU] : [LOAD_CPU, 3];
  }

  /** The switch's ends of its two cables. */
  get switchEnds(): readonly NetworkEnd[] {
    return [this.external, this.internal].map(({ name }) => ({
      namespace: this.switchNamespace,
      interface: name,
    }));
  }

  /**
   * Lets a kernel thread poll an interface, on one CPU or, queue after queue, on several.
   * The function given back leaves polling to whoever sends, as it was.
   */
  pollByThread(
    end: NetworkEnd,
    ...cpus: number[]
  ): { threads: readonly KernelThread[]; undo: () => void } {
    const before = new Set(napiThreads(end.interface).map(({ pid }) => pid));
    this.#setReceive(end, true);
    const threads = napiThreads(end.interface)
      .filter(({ pid }) => !before.has(pid))
      .sort((a, b) => a.pid - b.pid);
    threads.forEach(({ pid }, queue) => {
      execute('taskset', ['-c', '-p', String(cpus[queue % cpus.length]), String(pid)]);
    });
    return { threads, undo: () => this.#setReceive(end, false) };
  }

  /**
   * Lets an interface of the switch take frames that the generator or another XDP program has sent,
   * without a thread: those who open it by AF_PACKET have no XDP program there that would make it poll.
   */
  acceptRedirected(end: NetworkEnd): () => void {
    this.#ethtool(end, 'on');
    return () => this.#ethtool(end, 'off');
  }

  /**
   * GRO makes the switch's ends poll, and joins TCP segments to packets longer than any that were ever
   * on a cable. The kernel cuts them up again for itself, but not for who listens by AF_PACKET: nothing is
   * joined for him.
   * @returns lets segments be joined again
   */
  leaveSegmentsApart(): () => void {
    const joinUpTo = (bytes: number) => {
      for (const { namespace, interface: name } of this.switchEnds) {
        ipBatch([`link set ${name} gro_max_size ${bytes}`], namespace);
      }
    };
    joinUpTo(CABLE_BYTES);
    return () => joinUpTo(USUAL_GRO_BYTES);
  }

  /**
   * Makes the kernel the owner of the switch's addresses (the virtual one too) and a router, with the
   * way to the generator's flows. The function given back takes everything away again, for weir owns
   * the addresses itself.
   */
  giveAddressesToKernel(): () => void {
    const namespace = this.switchNamespace;
    const { external, internal, virtualAddress } = this;
    const own = [
      `${external.address}/${external.prefixLength} dev ${external.name}`,
      `${virtualAddress}/32 dev ${external.name}`,
      `${internal.address}/${internal.prefixLength} dev ${internal.name}`,
    ];
    ipBatch(
      [
        ...own.map((line) => `addr add ${line}`),
        `route add ${GENERATOR_NETWORK} via ${this.client.address}`,
      ],
      namespace,
    );
    this.#setForwarding(true);
    return () => {
      this.#setForwarding(false);
      const gone = [`addr flush dev ${external.name}`, `addr flush dev ${internal.name}`];
      // Routes go with their addresses, learnt neighbors do not.
      ipBatch([...gone, 'neigh flush all'], namespace);
    };
  }

  /** Hosts forget whom they have asked for, so that no contender inherits another's neighbors. */
  forgetNeighbors(): void {
    const hosts = [this.client, ...this.servers].map(({ namespace }) => namespace);
    for (const namespace of [...hosts, this.switchNamespace])
      ipBatch(['neigh flush all'], namespace);
  }

  /** Waits until whoever bears an address on the client's cable, or on the direct one, answers ARP. */
  async waitUntilReachable(
    address: string,
    end = this.clientEnd,
    deadlineMs = 5000,
  ): Promise<void> {
    const { namespace } = end;
    const ask = ['neigh', 'replace', address, 'dev', end.interface, 'use'];
    const tell = ['neigh', 'get', address, 'dev', end.interface];
    await waitUntil(
      `${address} answers ARP on ${end.interface}`,
      () => {
        execute('ip', ask, { namespace, mayFail: true });
        return execute('ip', tell, { namespace, mayFail: true }).stdout.includes('lladdr');
      },
      deadlineMs,
    );
  }

  /** Takes everything away, with whatever still runs there. */
  remove(): void {
    this.lab.remove();
  }

  #addDirectCable(): void {
    const { directEnd, directReceiverEnd } = this;
    const mac = macAddress(DIRECT_CLIENT_ADDRESS);
    ipBatch([
      `link add ${directEnd.interface} address ${mac} netns ${directEnd.namespace} type veth ` +
        `peer name ${directReceiverEnd.interface} netns ${directReceiverEnd.namespace}`,
    ]);
    for (const end of [directEnd, directReceiverEnd]) {
      const off = ['tx', 'rx', 'tso', 'gso', 'gro', 'rxvlan', 'txvlan'].flatMap((x) => [x, 'off']);
      execute('ethtool', ['-K', end.interface, ...off], {
        namespace: end.namespace,
        mayFail: true,
      });
    }
    ipBatch(
      [
        `link set ${directEnd.interface} up`,
        `addr add ${DIRECT_CLIENT_ADDRESS}/24 dev ${directEnd.interface}`,
      ],
      directEnd.namespace,
    );
    ipBatch(
      [
        `link set ${directReceiverEnd.interface} master br0`,
        `link set ${directReceiverEnd.interface} up`,
      ],
      directReceiverEnd.namespace,
    );
  }

  #setForwarding(isOn: boolean): void {
    const setting = `net.ipv4.ip_forward=${isOn ? 1 : 0}`;
    execute('sysctl', ['-q', '-w', setting], { namespace: this.switchNamespace });
  }

  #ethtool(end: NetworkEnd, gro: 'on' | 'off'): void {
    execute('ethtool', ['-K', end.interface, 'gro', gro], { namespace: end.namespace });
  }

  /** GRO first: there is no thread without something that polls. */
  #setReceive(end: NetworkEnd, byThread: boolean): void {
    if (byThread) this.#ethtool(end, 'on');
    const command = `echo ${byThread ? 1 : 0} > /sys/class/net/${end.interface}/threaded`;
    execute('sh', ['-c', command], { namespace: end.namespace, timeoutMs: THREADS_DEADLINE_MS });
    if (!byThread) this.#ethtool(end, 'off');
  }
}
