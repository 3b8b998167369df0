// Steps 210, 214 and 218 of Fig. 6: the first packet of a connection. Chooses its backend and records
// both directions with everything that later packets need (addresses, ports, checksum differences), so
// that those touch one record and no configuration. The record outlives changes of the configuration:
// a reload never moves a connection to another backend.

import { Prng } from '../base/prng.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import {
  BACKEND_FULL,
  type ConnectionTable,
  INDEX_FULL,
  NOT_FOUND,
  PUBLISHED,
  RACE,
  SERVICE_FULL,
} from '../tables/connection-table.ts';
import * as checksum from '../wire/checksum.ts';
import { BackendRoom, HAS_ROOM } from './backend-room.ts';
import { ALL_FULL, BackendChooser } from './choose-backend.ts';
import { matchRule } from './match-rules.ts';
import type { PacketContext } from './packet-context.ts';
import { Persistence } from './persistence.ts';
import * as reasons from './reasons.ts';

/** Backends tried when the first one's replies could not be told from another connection's. */
const ATTEMPTS = 3;

/** What `begin` says besides a reason: the connection is recorded, `context.record` names it. */
export const BEGUN = reasons.CONTINUE;

export class NewConnection {
  private readonly view: DataView;
  private readonly words: Int32Array;
  private readonly connections: ConnectionTable;
  private readonly room: BackendRoom;
  private readonly chooser: BackendChooser;
  private readonly persistence: Persistence;

  /** @param seed of what schedulers draw: another one for each processor */
  constructor(memory: MainMemory, processor: number, connections: ConnectionTable, seed: number) {
    this.view = memory.view;
    this.words = memory.words;
    this.connections = connections;
    this.room = new BackendRoom(memory);
    this.chooser = new BackendChooser(memory, processor, this.room, new Prng(seed));
    this.persistence = new Persistence(memory, connections, this.room);
  }

  /**
   * Begins a connection of `context.service` by the packet in the context.
   * @returns BEGUN, or the reason why not: NO_BACKEND, SERVICE_LIMIT, BACKEND_LIMIT, TABLE_FULL,
   *   TUPLE_IN_USE, INSERT_RACE. @hot
   */
  begin(context: PacketContext, configuration: number, nowMs: number): number {
    const { view, words, room, chooser } = this;
    const { service, source, ports } = context;
    if (!room.serviceHasRoom(configuration, service)) return reasons.SERVICE_LIMIT;
    const rule = matchRule(view, words, configuration, context);
    chooser.usePool(configuration, service, rule);
    let refused = reasons.NO_BACKEND;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const backend =
        attempt === 0
          ? this.chooseFirst(context, configuration, nowMs)
          : chooser.choose(source, ports, attempt);
      if (backend === table.NOT_FOUND) return reasons.NO_BACKEND;
      if (backend === ALL_FULL) return reasons.BACKEND_LIMIT;
      context.backend = backend;
      const result = this.record(context, configuration, nowMs);
      if (result === PUBLISHED) return BEGUN;
      if (result === RACE) return reasons.INSERT_RACE;
      if (result === SERVICE_FULL) return reasons.SERVICE_LIMIT;
      if (result === INDEX_FULL || result === NOT_RESERVED) return reasons.TABLE_FULL;
      if (result >= 0) {
        // Another processor was faster: the connection is known now.
        context.record = result >> 1;
        context.backend = this.connections.backend(result);
        return BEGUN;
      }
      // Another processor was faster: the backend had room when it was chosen.
      refused = result === BACKEND_FULL ? reasons.BACKEND_LIMIT : reasons.TUPLE_IN_USE;
    }
    return refused;
  }

  /** The backend with which the client stays, or the scheduler's choice; as `choose`. @hot */
  private chooseFirst(context: PacketContext, configuration: number, nowMs: number): number {
    const { chooser, persistence } = this;
    const { service, source, ports } = context;
    const mask = table.persistenceMask(this.words, configuration, service);
    if (mask === 0) return chooser.choose(source, ports, 0);
    const kept = persistence.find(context, configuration, mask, chooser, nowMs);
    if (kept >= 0 && this.room.ask(configuration, kept) === HAS_ROOM) return kept;
    const chosen = chooser.choose(source, ports, 0);
    if (chosen < 0 || kept >= 0) return chosen;
    return persistence.keep(context, configuration, mask, chooser, chosen, nowMs);
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
    const most = table.serviceConnectionLimit(words, configuration, service);
    const backendMost = table.backendConnectionLimit(words, configuration, backend);
    return connections.publish(record, nowMs, most, backendMost);
  }
}

/** No record is free. */
const NOT_RESERVED = -100;
