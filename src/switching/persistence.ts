// Persistence: new connections of a client (or of a network of clients, by the service's mask) begin
// with the backend that the one before began with, until none has begun for the service's timeout.
//
// Which one that is says a template in the connection table (tables/connection-record.ts), found by
// the masked client address, the service's address and port, and the pool: a client that different rules
// send to different pools has a backend in each. Connections themselves do not prolong a template; the
// beginning of one does.
//
// A template holds only while its backend takes connections and belongs to the pool. One that is down,
// drained (weight 0) or gone is replaced, so not even its old clients begin anything new there. One that is
// full sends the client elsewhere this time and stays. The template is written before the connection: when
// several processors see a client for the first time at once, the first of them decides for all.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { PROTOCOL_TEMPLATE_TCP, PROTOCOL_TEMPLATE_UDP } from '../tables/connection-record.ts';
import { type ConnectionTable, NOT_FOUND, PUBLISHED } from '../tables/connection-table.ts';
import { poolHas } from '../tables/rule-table.ts';
import { PROTOCOL_TCP } from '../wire/ipv4.ts';
import { type BackendRoom, TAKES_NONE } from './backend-room.ts';
import type { BackendChooser } from './choose-backend.ts';
import type { PacketContext } from './packet-context.ts';

export class Persistence {
  private readonly words: Int32Array;
  private readonly connections: ConnectionTable;
  private readonly room: BackendRoom;

  constructor(memory: MainMemory, connections: ConnectionTable, room: BackendRoom) {
    this.words = memory.words;
    this.connections = connections;
    this.room = room;
  }

  /**
   * The backend that this client is to stay with, full or not, or NOT_FOUND.
   * @param mask of the client's address, not 0
   * @param chooser has the pool that is chosen from. @hot
   */
  find(
    context: PacketContext,
    configuration: number,
    mask: number,
    chooser: BackendChooser,
    nowMs: number,
  ): number {
    const entry = this.lookup(context, mask, chooser.poolNumber);
    if (entry === NOT_FOUND) return NOT_FOUND;
    const backend = this.connections.backend(entry);
    if (this.mayBegin(context.service, configuration, backend, chooser)) {
      this.connections.touch(entry, nowMs);
      return backend;
    }
    this.connections.remove(entry >> 1);
    return NOT_FOUND;
  }

  /**
   * Has this client stay with the backend from now on.
   * @returns the backend with which it stays: another one when another processor was faster. When
   *   there is no room for a template it stays with none, and the connection begins all the same. @hot
   */
  keep(
    context: PacketContext,
    configuration: number,
    mask: number,
    chooser: BackendChooser,
    backend: number,
    nowMs: number,
  ): number {
    const { connections } = this;
    const record = connections.reserve();
    if (record === NOT_FOUND) return backend;
    const { service, source, destination, ports, protocol } = context;
    const key = keyPorts(ports, chooser.poolNumber);
    connections.setOwner(record, table.FORWARDING_DSR, service, backend);
    connections.setClientKey(record, source & mask, destination, key, templateProtocol(protocol));
    const address = table.backendAddress(this.words, configuration, backend);
    const port = table.backendPort(this.words, configuration, backend);
    connections.setRewrite(record << 1, address, port, 0, 0);
    const result = connections.publish(record, nowMs);
    if (result === PUBLISHED || result < 0) return backend;
    const other = connections.backend(result);
    return this.mayBegin(service, configuration, other, chooser) ? other : backend;
  }

  /** The entry of the client's template, or NOT_FOUND. @hot */
  private lookup(context: PacketContext, mask: number, poolNumber: number): number {
    const { source, destination, ports, protocol } = context;
    return this.connections.lookup(
      source & mask,
      destination,
      keyPorts(ports, poolNumber),
      templateProtocol(protocol),
    );
  }

  /** Whether a connection may begin there at all: the configuration may have changed since. @hot */
  private mayBegin(
    service: number,
    configuration: number,
    backend: number,
    chooser: BackendChooser,
  ): boolean {
    const { words } = this;
    if (table.isBackendValid(words, configuration, backend) === 0) return false;
    if (table.backendService(words, configuration, backend) !== service) return false;
    if (this.room.ask(configuration, backend) === TAKES_NONE) return false;
    // Rules may have changed.
    return chooser.poolNumber === 0 || poolHas(words, configuration, chooser.pool, backend);
  }
}

/** Port of the service, and the pool. @hot */
function keyPorts(ports: number, poolNumber: number): number {
  return (ports << 16) | (poolNumber & 0xffff);
}

/** @hot */
function templateProtocol(protocol: number): number {
  return protocol === PROTOCOL_TCP ? PROTOCOL_TEMPLATE_TCP : PROTOCOL_TEMPLATE_UDP;
}
