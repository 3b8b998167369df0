// The application `dns`: a name server on the switching processors (name-server.ts). This is what makes it an
// application: what it wants to see, and what it does with a datagram. docs/reference/dns.md has its options.
// Invariant: a datagram to it ends here, answered or dropped; no other application or service sees it.

import type { Application, ApplicationHost, Match, Options } from '../contract.ts';
import type { Packet } from '../packet.ts';
import { type DnsOptions, NameServer, NO_ANSWER } from './name-server.ts';

const PORT = 53;

class Dns {
  readonly name = 'dns';
  private server: NameServer | null = null;

  /** UDP to its port, at its address or at any of weir's. */
  match(options: Options): Match {
    const { address, port = PORT } = options as DnsOptions;
    return address === undefined ? { protocol: 'udp', port } : { protocol: 'udp', address, port };
  }

  setup(host: ApplicationHost): void {
    this.server = new NameServer(host, host.options as DnsOptions);
  }

  /** @hot */
  onPacket(packet: Packet, nowMs: number): number {
    const { server } = this;
    if (server === null) return packet.drop();
    const { payloadOffset, payloadLength, source } = packet;
    const room = packet.payloadRoom();
    const length = server.respond(payloadOffset, payloadLength, room, source, nowMs);
    return length === NO_ANSWER ? packet.drop() : packet.reply(length);
  }
}

/** One for each entry of `applications`. */
export function createDns(): Application {
  const dns = new Dns();
  // Its match is asked without the object.
  return {
    name: dns.name,
    match: (options) => dns.match(options),
    setup: (host) => dns.setup(host),
    onPacket: (packet, nowMs) => dns.onPacket(packet, nowMs),
  };
}
