// Clients being served now and new connections per second, for each port of a service, without any
// right.
//
// Clients: established sockets of the port in /proc/net/tcp and tcp6. Walking that table costs the
// kernel time for every socket, so a long one is paced: after one that took t, the next begins not
// before 50 t (two percent of one CPU); meanwhile the count is scaled by how the number of TCP
// sockets has changed (/proc/net/sockstat, which costs nothing).
//
// New connections: with one port, the rise of PassiveOpens (/proc/net/snmp, RFC 4022): every
// connection that was accepted in this network namespace, however short, less those to the agent
// itself. With several ports that cannot be told apart; then it is the remote ends that were not in
// the table one walk before, which misses connections that began and ended between two walks.

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoadFigures } from '../load/load-report.ts';
import { type PortConnections, SocketTable } from './socket-table.ts';

/** A walk may cost this part of one CPU. */
const WALK_SHARE = 0.02;
/** How long a walk reads before it lets others run. */
const SLICE_MS = 4;
const CHUNK_BYTES = 65_536;
/** A table of so few sockets costs little; that it took long says that the machine is busy. */
const SMALL_TABLE = 5_000;

interface Walk {
  readonly ports: ReadonlyMap<number, PortConnections>;
  readonly endedAtMs: number;
  readonly nextAtMs: number;
  /** TCP sockets of the namespace then, by sockstat. */
  readonly inUse: number;
  readonly newPerSecond: ReadonlyMap<number, number>;
}

interface Accepted {
  readonly count: number;
  readonly atMs: number;
}

export interface ConnectionLoadOptions {
  /** Ports of the services. */
  readonly ports: readonly number[];
  /** How many connections the agent itself has accepted so far. */
  readonly ownAccepted: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** '/proc' but in tests. */
  readonly procFolder?: string;
}

/** Counts again and again; figures per second are means since the count before. */
export class ConnectionLoad {
  /** Walks so far. */
  walks = 0;
  private readonly options: ConnectionLoadOptions;
  private readonly net: string;
  private readonly ports: ReadonlySet<number>;
  private walk: Walk | undefined;
  /** Whether the last sample walked the table. */
  private isFresh = false;
  private accepted: Accepted | undefined;
  private acceptedPerSecond: number | undefined;

  constructor(options: ConnectionLoadOptions) {
    this.options = options;
    this.net = join(options.procFolder ?? '/proc', 'net');
    this.ports = new Set(options.ports);
  }

  /** Counts anew, as far as it is time to. Must have ended before it is called again. */
  async sample(): Promise<void> {
    if (this.ports.size === 0) return;
    if (this.ports.size === 1) this.countAccepted();
    this.isFresh = this.walk === undefined || this.options.now() >= this.walk.nextAtMs;
    if (this.isFresh) await this.walkTable();
  }

  /** The figures of a port, as of the last sample; empty for a port that was not asked for. */
  figures(port: number): LoadFigures {
    const figures: { clients?: number; connectionsPerSecond?: number } = {};
    const connections = this.walk?.ports.get(port);
    if (this.walk !== undefined && connections !== undefined) {
      figures.clients = Math.round(connections.established * this.growth(this.walk));
    }
    const perSecond =
      this.ports.size === 1 ? this.acceptedPerSecond : this.walk?.newPerSecond.get(port);
    if (perSecond !== undefined && this.ports.has(port)) figures.connectionsPerSecond = perSecond;
    return figures;
  }

  /** How the number of sockets has changed since the walk. */
  private growth(walk: Walk): number {
    if (this.isFresh) return 1;
    const inUse = this.socketsInUse();
    return walk.inUse > 0 && inUse > 0 ? inUse / walk.inUse : 1;
  }

  private async walkTable(): Promise<void> {
    const { now } = this.options;
    this.walks++;
    const table = new SocketTable(this.ports, this.ports.size > 1);
    let workedMs = 0;
    for (const name of ['tcp', 'tcp6']) workedMs += await this.readInto(table, name);
    const endedAtMs = now();
    const before = this.walk;
    this.walk = {
      ports: table.ports,
      endedAtMs,
      nextAtMs: table.sockets < SMALL_TABLE ? endedAtMs : endedAtMs + workedMs / WALK_SHARE,
      inUse: this.socketsInUse(),
      newPerSecond: before === undefined ? new Map() : newPerSecond(before, table, endedAtMs),
    };
  }

  /** Reads in slices, so that answers of the agent do not wait for the whole walk. @returns ms of work */
  private async readInto(table: SocketTable, name: string): Promise<number> {
    const { now } = this.options;
    let file: number;
    try {
      file = openSync(join(this.net, name), 'r');
    } catch {
      // Without IPv6 there is no tcp6.
      return 0;
    }
    let workedMs = 0;
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      let sliceBegan = now();
      for (;;) {
        const count = readSync(file, chunk, 0, CHUNK_BYTES, null);
        if (count > 0) table.push(chunk.subarray(0, count));
        const elapsedMs = now() - sliceBegan;
        if (count > 0 && elapsedMs < SLICE_MS) continue;
        workedMs += elapsedMs;
        if (count === 0) break;
        await nextTurn();
        sliceBegan = now();
      }
    } catch {
      // As far as it could be read.
    } finally {
      closeSync(file);
      table.endFile();
    }
    return workedMs;
  }

  private countAccepted(): void {
    const opens = parsePassiveOpens(this.read('snmp'));
    const before = this.accepted;
    if (opens === undefined) return;
    this.accepted = { count: opens - this.options.ownAccepted(), atMs: this.options.now() };
    if (before === undefined) return;
    const seconds = (this.accepted.atMs - before.atMs) / 1000;
    if (seconds <= 0) return;
    this.acceptedPerSecond = Math.max(0, (this.accepted.count - before.count) / seconds);
  }

  private socketsInUse(): number {
    return parseSocketsInUse(this.read('sockstat')) + parseSocketsInUse(this.read('sockstat6'));
  }

  private read(name: string): string {
    try {
      return readFileSync(join(this.net, name), 'latin1');
    } catch {
      return '';
    }
  }
}

function newPerSecond(before: Walk, table: SocketTable, nowMs: number): Map<number, number> {
  const rates = new Map<number, number>();
  const seconds = (nowMs - before.endedAtMs) / 1000;
  if (seconds <= 0) return rates;
  for (const [port, { remoteEnds }] of table.ports) {
    const known = before.ports.get(port)?.remoteEnds;
    if (remoteEnds === undefined || known === undefined) continue;
    let count = 0;
    for (const end of remoteEnds) if (!known.has(end)) count++;
    rates.set(port, count / seconds);
  }
  return rates;
}

/** PassiveOpens of /proc/net/snmp: a line of names, a line of numbers. */
export function parsePassiveOpens(text: string): number | undefined {
  const [names, numbers] = [...text.matchAll(/^Tcp: (.*)$/gm)].map(([, line]) => line.split(' '));
  const index = names?.indexOf('PassiveOpens') ?? -1;
  const value = Number(numbers?.[index]);
  return index < 0 || !Number.isFinite(value) ? undefined : value;
}

/** Sockets of /proc/net/sockstat or sockstat6 that are neither closed nor in TIME-WAIT. */
export function parseSocketsInUse(text: string): number {
  return Number(/^TCP6?: inuse ([0-9]+)/m.exec(text)?.[1] ?? 0);
}
