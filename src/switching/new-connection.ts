// Steps 210, 214 and 218 of Fig. 6: the first packet of a connection. Chooses its backend and records
// both directions with everything that later packets need (addresses, ports, checksum differences), so
// that those touch one record and no configuration. The record outlives changes of the configuration:
// a reload never moves a connection to another backend.

import * as table from '../tables/configuration-table.ts';
import {
  type ConnectionTable,
  INDEX_FULL,
  NOT_FOUND,
  PUBLISHED,
  RACE,
  TUPLE_IN_USE,
} from '../tables/connection-table.ts';
import * as checksum from '../wire/checksum.ts';
import type { BackendChooser } from './choose-backend.ts';
import type { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';

/** Backends tried when the first one's replies could not be told from another connection's. */
const ATTEMPTS = 3;

/** What `begin` says besides a reason: the connection is recorded, `context.record` names it. */
export const BEGUN = reasons.CONTINUE;

export class NewConnection {
  private readonly words: Int32Array;
  private readonly connections: ConnectionTable;
  private readonly chooser: BackendChooser;

  constructor(words: Int32Array, connections: ConnectionTable, chooser: BackendChooser) {
    this.words = words;
    this.connections = connections;
    this.chooser = chooser;
  }

  /**
   * Begins a connection of `context.service` by the packet in the context.
   * @returns BEGUN, or the reason why not: NO_BACKEND, TABLE_FULL, TUPLE_IN_USE, INSERT_RACE. @hot
   */
  begin(context: PacketContext, configuration: number, nowMs: number): number {
    const { service, source, ports } = context;
    let refused = reasons.NO_BACKEND;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // Maglev would choose the same again: the attempts differ by what is added to the ports.
      const key = (ports + attempt) | 0;
      const backend = this.chooser.choose(configuration, service, source, key);
      if (backend === table.NOT_FOUND) return reasons.NO_BACKEND;
      context.backend = backend;
      const result = this.record(context, configuration, nowMs);
      if (result === PUBLISHED) return BEGUN;
      if (result === RACE) return reasons.INSERT_RACE;
      if (result === INDEX_FULL || result === NOT_RESERVED) return reasons.TABLE_FULL;
      if (result >= 0) {
        // Another processor was faster: the connection is known now.
        context.record = result >> 1;
        context.backend = this.connections.backend(result);
        return BEGUN;
      }
      refused = result === TUPLE_IN_USE ? reasons.TUPLE_IN_USE : reasons.TABLE_FULL;
    }
    return refused;
  }

  /** @returns PUBLISHED, NOT_RESERVED, or what else `publish` says. @hot */
  private record(context: PacketContext, configuration: number, nowMs: number): number {
    const { words, connections } = this;
    const { service, backend, source, destination, ports, protocol } = context;
    const record = connections.reserve();
    if (record === NOT_FOUND) return NOT_RESERVED;
    const forwarding = table.serviceForwarding(words, configuration, service);
    const address = table.backendAddress(words, configuration, backend);
    const port = table.backendPort(words, configuration, backend);
    const servicePort = ports & 0xffff;
    const clientPort = ports >>> 16;
    connections.setOwner(record, forwarding, service, backend);
    connections.setClientKey(record, source, destination, ports, protocol);
    const toServer = checksum.difference32(destination, address);
    const toServerPort = checksum.difference16(servicePort, port);
    const toServerSum = checksum.addDifferences(toServer, toServerPort);
    connections.setRewrite(record << 1, address, port, toServer, toServerSum);
    if (forwarding !== table.FORWARDING_DSR) {
      const replyPorts = (port << 16) | clientPort;
      connections.setServerKey(record, address, source, replyPorts, protocol);
      const toClient = checksum.difference32(address, destination);
      const toClientPort = checksum.difference16(port, servicePort);
      const toClientSum = checksum.addDifferences(toClient, toClientPort);
      const entry = (record << 1) | 1;
      connections.setRewrite(entry, destination, servicePort, toClient, toClientSum);
    }
    context.record = record;
    return connections.publish(record, nowMs);
  }
}

/** No record is free. */
const NOT_RESERVED = -100;
