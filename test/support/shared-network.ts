// A host with a single network interface, and others on the same cable:
//
//   client .5 ──┐
//   b1 .21 ─────┼── bridge ── eth0 of the host .10
//   b2 .22 ─────┘
//
// eth0 is the kernel's, with an address of its own; weir gets a part of what comes in on it. The
// servers' way to the client is the host, so that replies come back through it; with direct server
// return they bear an address of the service on their loopback instead. As in the lab's other networks
// checksum and segmentation offload is off on all cables.

import { pid } from 'node:process';
import { registerNamespace, removeNamespace } from '../../src/lab/clean-up.ts';
import { execute, ipBatch } from '../../src/lab/command.ts';
import type { LabHost } from '../../src/lab/network.ts';

const SETTINGS = [
  'net.ipv6.conf.all.disable_ipv6=1',
  'net.ipv6.conf.default.disable_ipv6=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv4.conf.all.accept_redirects=0',
];
const SILENT = ['net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.conf.all.arp_announce=2'];
const OFFLOADS = ['tx', 'rx', 'tso', 'gso', 'gro'];
const NETWORK = '192.0.2';

export const HOST_ADDRESS = `${NETWORK}.10`;
/** weir's alone. */
export const SERVICE_ADDRESS = `${NETWORK}.100`;
/** Of a service with direct server return; the servers bear it too. */
export const DIRECT_ADDRESS = `${NETWORK}.101`;

let made = 0;

export class SharedNetwork {
  readonly host: LabHost;
  readonly client: LabHost;
  readonly servers: readonly LabHost[];
  private readonly namespaces: string[] = [];
  private readonly bridge: string;
  private readonly queues: number;
  private readonly suffix: string;

  /** @param queues receive and transmit queues of the host's interface */
  constructor(queues = 1) {
    this.queues = queues;
    made += 1;
    this.suffix = made === 1 ? '' : `-${made}`;
    this.bridge = this.namespace('wire', []);
    const settings = 'stp_state 0 forward_delay 0 mcast_snooping 0';
    ipBatch([`link add br0 type bridge ${settings}`, 'link set br0 up'], this.bridge);
    this.host = this.addHost('host', HOST_ADDRESS, []);
    this.client = this.addHost('client', `${NETWORK}.5`, []);
    this.servers = ['21', '22'].map((last, i) =>
      this.addHost(`b${i + 1}`, `${NETWORK}.${last}`, SILENT),
    );
    for (const { namespace } of this.servers) {
      const back = `route add ${this.client.address}/32 via ${HOST_ADDRESS} dev eth0`;
      ipBatch([back, `addr add ${DIRECT_ADDRESS}/32 dev lo`], namespace);
      // What a server sends in the service's name goes to the client itself.
      const direct = `route add ${NETWORK}.0/24 dev eth0 table 2`;
      ipBatch([direct, `rule add from ${DIRECT_ADDRESS} table 2`], namespace);
    }
  }

  remove(): void {
    for (const namespace of this.namespaces.splice(0)) removeNamespace(namespace);
  }

  private namespace(role: string, settings: string[]): string {
    const name = `weir-${pid}-shared-${role}${this.suffix}`;
    registerNamespace(name);
    this.namespaces.push(name);
    execute('ip', ['netns', 'add', name]);
    ipBatch(['link set lo up'], name);
    execute('sysctl', ['-q', '-w', ...SETTINGS, ...settings], { namespace: name });
    return name;
  }

  /** Deletes the host's interface and makes it anew, with its address; all there is lost meanwhile. */
  remakeInterface(): void {
    ipBatch(['link del eth0'], this.host.namespace);
    this.addCable('host', this.host.namespace, HOST_ADDRESS);
  }

  private addHost(name: string, address: string, settings: string[]): LabHost {
    const namespace = this.namespace(name, settings);
    this.addCable(name, namespace, address);
    return { name, namespace, address, addresses: [address] };
  }

  private addCable(name: string, namespace: string, address: string): void {
    const queues = name === 'host' ? this.queues : 1;
    const count = `numrxqueues ${queues} numtxqueues ${queues}`;
    ipBatch([
      `link add eth0 ${count} netns ${namespace} type veth peer name ${name} ${count} netns ${this.bridge}`,
    ]);
    const off = OFFLOADS.flatMap((feature) => [feature, 'off']);
    execute('ethtool', ['-K', 'eth0', ...off], { namespace, mayFail: true });
    // As a real interface, which takes frames in bunches (NAPI): a veth does so with GRO, or with an XDP
    // program, and else is half as fast. So it is the same without weir and with it.
    if (name === 'host') execute('ethtool', ['-K', 'eth0', 'gro', 'on'], { namespace });
    execute('ethtool', ['-K', name, ...off], { namespace: this.bridge, mayFail: true });
    ipBatch([`addr add ${address}/24 dev eth0`, 'link set eth0 up'], namespace);
    ipBatch([`link set ${name} master br0`, `link set ${name} up`], this.bridge);
  }
}
