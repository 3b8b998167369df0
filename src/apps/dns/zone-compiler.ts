// From the options of the application to the tables that are read for every question (zone-table.ts), when
// the application is set up. What is wrong is an error with the name of the zone and the record.
// Invariant: each name above a name of a zone is there as well, up to the zone's own.

import { encodeName, labelsOf, lowered, nameText } from '../../wire/dns-names.ts';
import {
  encodeData,
  encodeSoa,
  RECORD_TYPES,
  TYPE_CNAME,
  TYPE_NS,
  TYPE_SOA,
} from '../../wire/dns-records.ts';
import { hashLabel } from './name-hash.ts';
import {
  NODE_IS_APEX,
  NODE_LEADS_NOWHERE,
  NODE_WORDS,
  RECORD_WORDS,
  SET_WORDS,
  ZoneTable,
} from './zone-table.ts';

const DEFAULT_TTL = 60;
const DEFAULT_NEGATIVE_TTL = 30;
const DEFAULT_SERVICE_TTL = 5;
/** The label `*`. */
const WILDCARD = 0x2a;

export interface RecordOptions {
  readonly name: string;
  readonly type?: string;
  readonly value?: string | readonly string[];
  readonly service?: string;
  /** Most addresses in one answer. Default 1. */
  readonly answers?: number;
  readonly ttl?: number;
  /** IPv6 addresses of backends, by their names. */
  readonly ipv6?: Readonly<Record<string, string>>;
}

export interface ZoneOptions {
  readonly name: string;
  readonly ttl?: number;
  readonly 'negative-ttl'?: number;
  readonly nameservers: readonly string[];
  readonly mailbox?: string;
  readonly serial?: number;
  readonly records: readonly RecordOptions[];
}

/** A name that stands for the backends of a service; its place in the list is its number. */
export interface ServiceName {
  readonly service: string;
  readonly ttl: number;
  readonly answers: number;
  readonly ipv6: Readonly<Record<string, string>>;
}

interface Node {
  readonly name: Uint8Array;
  readonly zone: number;
  isApex: boolean;
  service: number;
  readonly sets: Map<number, { ttl: number; records: Uint8Array[] }>;
}

export interface CompiledZones {
  readonly table: ZoneTable;
  readonly services: readonly ServiceName[];
}

/** Makes the tables of all zones. @throws Error that names what is wrong, and where */
export function compileZones(zones: readonly ZoneOptions[]): CompiledZones {
  const compiler = new ZoneCompiler();
  for (const zone of zones) compiler.addZone(zone);
  return compiler.finish();
}

class ZoneCompiler {
  private readonly nodes = new Map<string, Node>();
  private readonly zones: { apex: Node }[] = [];
  private readonly services: ServiceName[] = [];

  addZone(options: ZoneOptions): void {
    const root = Uint8Array.of(0);
    const origin = lowered(encodeName(options.name, root));
    const number = this.zones.length;
    const apex = this.node(origin, number);
    if (apex.isApex) throw new Error(`zone ${options.name} exists twice`);
    apex.isApex = true;
    const negativeTtl = options['negative-ttl'] ?? DEFAULT_NEGATIVE_TTL;
    this.zones.push({ apex });
    const [nameserver] = options.nameservers;
    const mailbox = options.mailbox ?? 'hostmaster';
    const soa = { nameserver, mailbox, serial: options.serial ?? 1, negativeTtl };
    apex.sets.set(TYPE_SOA, { ttl: negativeTtl, records: [encodeSoa(soa, origin)] });
    const ttl = options.ttl ?? DEFAULT_TTL;
    for (const value of options.nameservers) {
      this.addRecord({ name: '@', type: 'NS', value, ttl }, origin, number, ttl);
    }
    for (const record of options.records) {
      try {
        this.addRecord(record, origin, number, ttl);
      } catch (error) {
        const { message } = error as Error;
        throw new Error(`zone ${options.name}, record ${record.name}: ${message}`);
      }
    }
  }

  private addRecord(
    record: RecordOptions,
    origin: Uint8Array,
    zone: number,
    zoneTtl: number,
  ): void {
    const name = lowered(encodeName(record.name, origin));
    if (!isBelow(name, origin)) throw new Error(`${nameText(name)} is not in the zone`);
    const node = this.nodeWithParents(name, origin, zone);
    if (record.service !== undefined) {
      if (node.service >= 0) throw new Error('it stands for two services');
      node.service = this.services.length;
      const { service, answers = 1, ttl = DEFAULT_SERVICE_TTL, ipv6 = {} } = record;
      this.services.push({ service, ttl, answers, ipv6 });
    } else {
      const type = RECORD_TYPES[record.type ?? ''];
      if (type === undefined) throw new Error(`type ${record.type} is not known`);
      if (type === TYPE_NS && !node.isApex) {
        throw new Error('parts of a zone cannot be given to other name servers');
      }
      const set = node.sets.get(type) ?? { ttl: record.ttl ?? zoneTtl, records: [] };
      const values = [record.value ?? []].flat();
      set.records.push(...values.map((value) => encodeData(type, value, origin)));
      node.sets.set(type, set);
    }
    const others = node.sets.size + (node.service >= 0 ? 1 : 0);
    if (!node.sets.has(TYPE_CNAME)) return;
    if (others > 1) throw new Error('a name with a CNAME has nothing else (RFC 1034 §3.6.2)');
    if (node.sets.get(TYPE_CNAME)!.records.length > 1) throw new Error('it has two CNAMEs');
  }

  private node(name: Uint8Array, zone: number): Node {
    const key = keyOf(name);
    const known = this.nodes.get(key);
    if (known !== undefined) return known;
    const node: Node = { name, zone, isApex: false, service: -1, sets: new Map() };
    this.nodes.set(key, node);
    return node;
  }

  /** A name is there when one below it is (RFC 8020). */
  private nodeWithParents(name: Uint8Array, origin: Uint8Array, zone: number): Node {
    for (const at of labelsOf(name)) {
      if (name.length - at > origin.length) this.node(name.subarray(at), zone);
    }
    return this.node(name, zone);
  }

  /** Where a CNAME leads: to a name of ours, to none although it should be ours, or elsewhere. */
  private targetOf({ sets }: Node): Node | 'nowhere' | undefined {
    const [target] = sets.get(TYPE_CNAME)?.records ?? [];
    if (target === undefined) return undefined;
    const name = lowered(target);
    // The name, or the first one above it that there is.
    for (const at of [...labelsOf(name), name.length - 1]) {
      const known = this.nodes.get(keyOf(name.subarray(at)));
      if (known === undefined) continue;
      return at === 0 ? known : (this.wildcardBelow(known) ?? 'nowhere');
    }
    return undefined;
  }

  private wildcardBelow({ name }: Node): Node | undefined {
    return this.nodes.get(keyOf(Uint8Array.from([1, WILDCARD, ...name])));
  }

  finish(): CompiledZones {
    const all = [...this.nodes.values()];
    const places = new Map(all.map((node, i) => [node, i]));
    /** Its place, counted from 1; 0: there is none. */
    const placeOf = (node: Node | undefined) => (node === undefined ? 0 : places.get(node)! + 1);
    const bytes: number[] = [];
    const put = (piece: Uint8Array): number => {
      for (const byte of piece) bytes.push(byte);
      return bytes.length - piece.length;
    };
    const nodes = new Int32Array(all.length * NODE_WORDS);
    const sets: number[] = [];
    const records: number[] = [];
    const soaSets = new Map<Node, number>();
    for (const [i, node] of all.entries()) {
      const first = sets.length / SET_WORDS;
      for (const [type, set] of node.sets) {
        if (type === TYPE_SOA) soaSets.set(node, sets.length / SET_WORDS);
        sets.push(type, set.ttl, records.length / RECORD_WORDS, set.records.length);
        for (const data of set.records) records.push(put(data), data.length);
      }
      const target = this.targetOf(node);
      const flags =
        (node.isApex ? NODE_IS_APEX : 0) | (target === 'nowhere' ? NODE_LEADS_NOWHERE : 0);
      const to = placeOf(typeof target === 'object' ? target : undefined);
      const wildcard = placeOf(this.wildcardBelow(node));
      const head = [hashOf(node.name), put(node.name), node.name.length, node.zone];
      nodes.set(
        [...head, first, node.sets.size, node.service + 1, flags, to, wildcard],
        i * NODE_WORDS,
      );
    }
    const zones = this.zones.flatMap(({ apex }) => [soaSets.get(apex)!, places.get(apex)!]);
    const slots = slotsOf(nodes, all.length);
    const table = new ZoneTable(
      nodes,
      Int32Array.from(sets),
      Int32Array.from(records),
      Int32Array.from(zones),
      Uint8Array.from(bytes),
      slots,
    );
    return { table, services: this.services };
  }
}

/** A name as a key. */
function keyOf(name: Uint8Array): string {
  return Buffer.from(lowered(name)).toString('latin1');
}

function isBelow(name: Uint8Array, origin: Uint8Array): boolean {
  const from = name.length - origin.length;
  return (
    from >= 0 &&
    (from === 0 || labelsOf(name).includes(from)) &&
    origin.every((byte, i) => name[from + i] === byte)
  );
}

function hashOf(name: Uint8Array): number {
  const view = new DataView(name.slice().buffer);
  return labelsOf(name).reduceRight((hash, at) => hashLabel(view, at, hash), 0);
}

function slotsOf(nodes: Int32Array, count: number): Int32Array {
  let size = 16;
  while (size < count * 2) size *= 2;
  const slots = new Int32Array(size);
  for (let node = 0; node < count; node++) {
    let slot = nodes[node * NODE_WORDS] & (size - 1);
    while (slots[slot] !== 0) slot = (slot + 1) & (size - 1);
    slots[slot] = node + 1;
  }
  return slots;
}
