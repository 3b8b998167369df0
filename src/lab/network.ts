// A whole network on one machine, each host a network namespace, each cable a veth pair:
//
//   client ─┐                                     ┌─ b1
//   client ─┤ external switch ─ ext0 WEIR int0 ─ internal switch ─┼─ b2
//   client ─┘ (a Linux bridge)        switch: mgmt0 ─ (a bridge)     └─ b3
//
// A single client on a single channel is joined to ext0 directly. With two channels there are ext1
// and int1 with subnets of their own (addressing.ts). With `dsr` the servers also stand on the
// external switch and bear the virtual address, silently, on their loopback, so they answer clients
// directly.
// ext0 and int0 have no address in the kernel: weir owns the addresses and answers ARP itself. With
// `management` the switch's namespace also has mgmt0 (37₀ of the seeds' Fig. 7), which the kernel
// owns: over it the control processor reaches the servers, and the agents on them reach it.
// Checksum and segmentation offload is off on every cable: a veth hands packets over with the
// checksum not yet filled in and a VLAN tag beside the frame instead of in it, neither of which a
// switch that is not the kernel would notice.

import { pid } from 'node:process';
import { WeirError } from '../base/errors.ts';
import {
  type Channel,
  clientAddress,
  directAddress,
  externalAddress,
  internalAddress,
  MAXIMUM_BACKENDS,
  MAXIMUM_CLIENTS,
  macAddress,
  managementAddress,
  PREFIX_LENGTH,
  serverAddress,
  virtualAddress,
} from './addressing.ts';
import { registerNamespace, removeNamespace } from './clean-up.ts';
import { type CommandResult, execute, ipBatch } from './command.ts';

const QUIET_HOST = [
  'net.ipv6.conf.all.disable_ipv6=1',
  'net.ipv6.conf.default.disable_ipv6=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv4.ip_forward=0',
];
/** A server that bears the virtual address must not answer ARP for it, nor ask in its name. */
const SILENT_VIRTUAL_ADDRESS = [
  'net.ipv4.conf.all.arp_ignore=1',
  'net.ipv4.conf.all.arp_announce=2',
];
/** Else the kernel would answer on int0, which is weir's, for the address that it has on mgmt0. */
const ONLY_ITS_OWN_ADDRESS = ['net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.conf.all.arp_announce=2'];
const MANAGEMENT_INTERFACE = 'mgmt0';
const OFFLOADS = ['tx', 'rx', 'tso', 'gso', 'gro', 'rxvlan', 'txvlan'];

export interface LabNetworkOptions {
  /** Servers behind the switch. Default 3. */
  backends?: number;
  /** Clients in front of it. Default 1. */
  clients?: number;
  /** Network channels on each side. Default 1. */
  channels?: 1 | 2;
  /** Receive and transmit queues of each of the switch's interfaces. Default 1. */
  queues?: number;
  /** Servers can answer clients directly. Default false. */
  dsr?: boolean;
  /** The switch's kernel stands on the servers' network with an interface of its own. Default false. */
  management?: boolean;
  /**
   * Packets will reach the peers by XDP redirect or XDP_TX, which a veth takes only when its peer
   * polls by NAPI: keeps GRO on there. Default false.
   */
  xdpRedirect?: boolean;
}

/** A client or a server. */
export interface LabHost {
  /** 'client', 'client-2', … or 'b1', 'b2' …. */
  readonly name: string;
  readonly namespace: string;
  /** The address on the first channel. */
  readonly address: string;
  /** One address per channel. */
  readonly addresses: readonly string[];
  /** A server's address on the client side, with `dsr`. */
  readonly directAddress?: string;
}

/** One of the switch's interfaces, in the switch's namespace, without an address in the kernel. */
export interface SwitchInterface {
  readonly name: string;
  readonly side: 'external' | 'internal';
  readonly channel: Channel;
  /** The address that weir itself has there, to be written into its configuration. */
  readonly address: string;
  readonly prefixLength: number;
  readonly macAddress: string;
  readonly queues: number;
}

/** One end of a cable. */
interface CableEnd {
  namespace: string;
  name: string;
  macAddress?: string;
  /** The switch's own end, where offloads must be off in every case. */
  isSwitch?: boolean;
}

let networksMade = 0;

export class LabNetwork {
  readonly options: Required<LabNetworkOptions>;
  readonly switchNamespace: string;
  /** The namespace of the bridge between the clients and the switch, if there is one. */
  readonly externalNamespace: string | undefined;
  /** The namespace of the bridge between the switch and the servers. */
  readonly internalNamespace: string;
  readonly clients: readonly LabHost[];
  readonly servers: readonly LabHost[];
  readonly switchInterfaces: readonly SwitchInterface[];
  /** The virtual address on each channel. */
  readonly virtualAddresses: readonly string[];
  /** The kernel's address on the servers' network, with `management`. */
  readonly managementAddress: string | undefined;
  readonly #suffix: string;
  readonly #namespaces: string[] = [];

  /**
   * Builds the network; it is up when this returns.
   * @throws WeirError ERR_LAB when the machine does not allow it; nothing is left behind then.
   */
  constructor(options: LabNetworkOptions = {}) {
    this.options = {
      backends: 3,
      clients: 1,
      channels: 1,
      queues: 1,
      dsr: false,
      management: false,
      xdpRedirect: false,
      ...options,
    };
    checkOptions(this.options);
    networksMade += 1;
    this.#suffix = networksMade === 1 ? '' : `-${networksMade}`;
    try {
      const { management } = this.options;
      this.switchNamespace = this.#addNamespace('switch', management ? ONLY_ITS_OWN_ADDRESS : []);
      this.internalNamespace = this.#addNamespace('internal');
      this.externalNamespace = this.#needsExternalBridge()
        ? this.#addNamespace('external')
        : undefined;
      this.virtualAddresses = this.#channels().map(virtualAddress);
      this.clients = this.#buildClients();
      this.servers = this.#buildServers();
      this.switchInterfaces = this.#buildSwitch();
      this.managementAddress = management ? this.#addManagement() : undefined;
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  get client(): LabHost {
    return this.clients[0];
  }

  /** The virtual address on the first channel. */
  get virtualAddress(): string {
    return this.virtualAddresses[0];
  }

  /** Every namespace of this network. */
  get namespaces(): readonly string[] {
    return this.#namespaces;
  }

  /** Runs a command on a host, to its end. */
  run(host: LabHost, program: string, args: string[], mayFail = false): CommandResult {
    return execute(program, args, { namespace: host.namespace, mayFail });
  }

  /** Takes everything away, with whatever still runs there. */
  remove(): void {
    for (const namespace of this.#namespaces.splice(0)) removeNamespace(namespace);
  }

  #channels(): Channel[] {
    return this.options.channels === 2 ? [0, 1] : [0];
  }

  #needsExternalBridge(): boolean {
    return this.options.clients > 1 || this.options.dsr;
  }

  #addNamespace(role: string, settings: string[] = []): string {
    const name = `weir-${pid}-${role}${this.#suffix}`;
    registerNamespace(name);
    this.#namespaces.push(name);
    execute('ip', ['netns', 'add', name]);
    ipBatch(['link set lo up'], name);
    execute('sysctl', ['-q', '-w', ...QUIET_HOST, ...settings], { namespace: name });
    return name;
  }

  /** A bridge in its own namespace per channel: a plain Ethernet switch. */
  #addBridge(namespace: string, channel: Channel): void {
    const settings = 'stp_state 0 forward_delay 0 mcast_snooping 0';
    ipBatch(
      [`link add br${channel} type bridge ${settings}`, `link set br${channel} up`],
      namespace,
    );
  }

  #join(end: CableEnd, peer: CableEnd, bridge?: string): void {
    const { queues, xdpRedirect } = this.options;
    const count = end.isSwitch ? queues : 1;
    const many = `numrxqueues ${count} numtxqueues ${count}`;
    const address = end.macAddress === undefined ? '' : `address ${end.macAddress}`;
    const peerAddress = peer.macAddress === undefined ? '' : `address ${peer.macAddress}`;
    ipBatch([
      `link add ${end.name} ${address} ${many} netns ${end.namespace} type veth ` +
        `peer name ${peer.name} ${peerAddress} ${many} netns ${peer.namespace}`,
    ]);
    switchOffloadsOff(end.namespace, end.name, false);
    switchOffloadsOff(peer.namespace, peer.name, xdpRedirect && end.isSwitch === true);
    ipBatch([`link set ${end.name} up`], end.namespace);
    const lines = bridge === undefined ? [] : [`link set ${peer.name} master ${bridge}`];
    ipBatch([...lines, `link set ${peer.name} up`], peer.namespace);
  }

  #buildClients(): LabHost[] {
    const hosts: LabHost[] = [];
    if (this.externalNamespace !== undefined) {
      for (const channel of this.#channels()) this.#addBridge(this.externalNamespace, channel);
    }
    for (let index = 0; index < this.options.clients; index += 1) {
      const name = index === 0 ? 'client' : `client-${index + 1}`;
      const namespace = this.#addNamespace(name);
      const addresses = this.#channels().map((channel) => clientAddress(index, channel));
      for (const channel of this.#channels()) {
        const end = hostEnd(namespace, channel, addresses[channel]);
        if (this.externalNamespace !== undefined) {
          const peer = { namespace: this.externalNamespace, name: `${name}-${channel}` };
          this.#join(end, peer, `br${channel}`);
        } else {
          this.#join(this.#switchEnd('external', channel), end);
        }
        addAddress(namespace, end.name, addresses[channel]);
      }
      hosts.push({ name, namespace, address: addresses[0], addresses });
    }
    return hosts;
  }

  #buildServers(): LabHost[] {
    for (const channel of this.#channels()) this.#addBridge(this.internalNamespace, channel);
    const hosts: LabHost[] = [];
    for (let index = 0; index < this.options.backends; index += 1) {
      const name = `b${index + 1}`;
      const namespace = this.#addNamespace(name, this.options.dsr ? SILENT_VIRTUAL_ADDRESS : []);
      const addresses = this.#channels().map((channel) => serverAddress(index, channel));
      for (const channel of this.#channels()) {
        const end = hostEnd(namespace, channel, addresses[channel]);
        const peer = { namespace: this.internalNamespace, name: `${name}-${channel}` };
        this.#join(end, peer, `br${channel}`);
        addAddress(namespace, end.name, addresses[channel]);
        addWayBack(namespace, end.name, addresses[channel], channel);
      }
      const direct = this.options.dsr ? this.#addDirectWay(namespace, name, index) : undefined;
      hosts.push({ name, namespace, address: addresses[0], addresses, directAddress: direct });
    }
    return hosts;
  }

  /** A second cable, to the clients' side, and the virtual address on the loopback interface. */
  #addDirectWay(namespace: string, name: string, index: number): string {
    const address = directAddress(index);
    const end = { namespace, name: 'direct0', macAddress: macAddress(address) };
    this.#join(end, { namespace: this.externalNamespace!, name: `${name}-direct` }, 'br0');
    addAddress(namespace, end.name, address);
    ipBatch([`addr add ${virtualAddress(0)}/32 dev lo`], namespace);
    return address;
  }

  #addManagement(): string {
    const address = managementAddress();
    const namespace = this.switchNamespace;
    const end = { namespace, name: MANAGEMENT_INTERFACE, macAddress: macAddress(address) };
    this.#join(end, { namespace: this.internalNamespace, name: MANAGEMENT_INTERFACE }, 'br0');
    addAddress(namespace, end.name, address);
    return address;
  }

  #switchEnd(side: 'external' | 'internal', channel: Channel): CableEnd {
    const address = side === 'external' ? externalAddress(channel) : internalAddress(channel);
    const name = `${side === 'external' ? 'ext' : 'int'}${channel}`;
    const namespace = this.switchNamespace;
    return { namespace, name, macAddress: macAddress(address), isSwitch: true };
  }

  #buildSwitch(): SwitchInterface[] {
    const interfaces: SwitchInterface[] = [];
    for (const channel of this.#channels()) {
      const bridge = `br${channel}`;
      const external = this.#switchEnd('external', channel);
      const internal = this.#switchEnd('internal', channel);
      if (this.externalNamespace !== undefined) {
        this.#join(external, { namespace: this.externalNamespace, name: `up${channel}` }, bridge);
      }
      this.#join(internal, { namespace: this.internalNamespace, name: `up${channel}` }, bridge);
      for (const [side, end] of [
        ['external', external],
        ['internal', internal],
      ] as const) {
        const address = side === 'external' ? externalAddress(channel) : internalAddress(channel);
        interfaces.push({
          name: end.name,
          side,
          channel,
          address,
          prefixLength: PREFIX_LENGTH,
          macAddress: macAddress(address),
          queues: this.options.queues,
        });
      }
    }
    return interfaces;
  }
}

function checkOptions(options: Required<LabNetworkOptions>): void {
  const within = (value: number, from: number, to: number) =>
    Number.isInteger(value) && value >= from && value <= to;
  const fault = (what: string) => new WeirError('ERR_LAB', `the lab network: ${what}`, '');
  if (!within(options.clients, 1, MAXIMUM_CLIENTS)) throw fault(`clients 1 to ${MAXIMUM_CLIENTS}`);
  if (!within(options.backends, 0, MAXIMUM_BACKENDS)) {
    throw fault(`backends 0 to ${MAXIMUM_BACKENDS}`);
  }
  if (!within(options.queues, 1, 64)) throw fault('queues 1 to 64');
}

function hostEnd(namespace: string, channel: Channel, address: string): CableEnd {
  return { namespace, name: `eth${channel}`, macAddress: macAddress(address) };
}

function addAddress(namespace: string, networkInterface: string, address: string): void {
  ipBatch([`addr add ${address}/${PREFIX_LENGTH} dev ${networkInterface}`], namespace);
}

/** The servers' way to everybody else is the switch, over the channel on which they were asked. */
function addWayBack(
  namespace: string,
  networkInterface: string,
  address: string,
  channel: Channel,
): void {
  const way = `default via ${internalAddress(channel)} dev ${networkInterface}`;
  const lines = channel === 0 ? [`route add ${way}`] : [];
  if (channel === 1) lines.push(`route add ${way} table 2`, `rule add from ${address} table 2`);
  ipBatch(lines, namespace);
}

/** Not every kernel knows every one of them; what it does not know, it does not do. */
function switchOffloadsOff(namespace: string, networkInterface: string, keepGro: boolean): void {
  const settings = OFFLOADS.map((name) => [name, name === 'gro' && keepGro ? 'on' : 'off']);
  const set = (wanted: string[][]) =>
    execute('ethtool', ['-K', networkInterface, ...wanted.flat()], { namespace, mayFail: true });
  if (set(settings).status === 0) return;
  for (const setting of settings) set([setting]);
}
