// Authoritative answers for configured names. A name can stand for a service: then its addresses are those of
// the backends that take connections, as often as the master's distribution has them (B3), so that clients
// whose packets do not pass weir are distributed, too.
//
// RFC 1034 and 1035, 2181 (clarifications), 2308 (what is not there), 4592 (wildcards), 4343 (case), 6891 (EDNS0), 8020 (names
// above names), 8482 (ANY). Over UDP only: who is told by TC to ask by TCP is refused there.
// Invariants: an answer goes to a query only, never to an answer; it is short, or limited
// (reflection-guard.ts); whatever a query says, it costs no more than its length and a few records.

import { TYPE_ANY, TYPE_AXFR, TYPE_CNAME, TYPE_IXFR } from '../../wire/dns-records.ts';
import type { ApplicationHost } from '../contract.ts';
import { Answer } from './answer.ts';
import { hashLabel } from './name-hash.ts';
import * as question from './question.ts';
import { ReflectionGuard } from './reflection-guard.ts';
import { ServiceAnswers } from './service-answers.ts';
import { compileZones, type ZoneOptions } from './zone-compiler.ts';
import { NOT_FOUND, type ZoneTable } from './zone-table.ts';

/** What `respond` says of a datagram that is not to be answered. */
export const NO_ANSWER = 0;

const CLASS_IN = 1;
const DEFAULT_ANSWERS_PER_SECOND = 100;
const DEFAULT_PREFIX = 24;
/** CNAMEs that are followed for one question. */
const ALIASES_MAX = 8;
/** Answers up to so many times the length of their question are not limited. */
const HARMLESS_TIMES = 2;
/** Where the question's name stands in every message. */
const QUESTION_NAME = question.HEADER_SIZE;

const COUNTER_NAMES = [
  'answered',
  'not there',
  'refused',
  'malformed',
  'ignored',
  'truncated',
  'limited',
  'no backend',
] as const;
const ANSWERED = 0;
const NOT_THERE = 1;
const REFUSED = 2;
const MALFORMED = 3;
const IGNORED = 4;
const TRUNCATED = 5;
const LIMITED = 6;
const NO_BACKEND = 7;

export interface DnsOptions {
  /** Default: every address of weir. */
  readonly address?: string;
  readonly port?: number;
  readonly 'rate-limit'?: { readonly answers?: number; readonly prefix?: number };
  readonly zones?: readonly ZoneOptions[];
}

export class NameServer {
  private readonly host: ApplicationHost;
  private readonly view: DataView;
  private readonly table: ZoneTable;
  private readonly answer: Answer;
  private readonly services: ServiceAnswers;
  private readonly guard: ReflectionGuard;
  private readonly asked = new question.Question();
  /** Numbers of the counters. */
  private readonly counters: Int32Array;
  /** The zone that the question's name is in. */
  private zone = NOT_FOUND;
  /** The question is within a zone of ours. */
  private isOurs = false;
  private limited = 0;

  constructor(host: ApplicationHost, options: DnsOptions) {
    const { table, services } = compileZones(options.zones ?? []);
    const limit = options['rate-limit'];
    const perSecond = limit?.answers ?? DEFAULT_ANSWERS_PER_SECOND;
    const prefix = limit?.prefix ?? DEFAULT_PREFIX;
    this.host = host;
    this.view = host.view;
    this.table = table;
    this.answer = new Answer(host.view, host.bytes, table);
    this.services = new ServiceAnswers(host, services);
    this.guard = new ReflectionGuard(host.table, host.seed, perSecond, prefix);
    this.counters = Int32Array.from(COUNTER_NAMES, (name) => host.counter(name));
  }

  /** @hot */
  private count(counter: number): void {
    this.host.count(this.counters[counter], 1);
  }

  /**
   * Answers the query of `length` bytes at `start`, in its place.
   * @param room bytes that the answer may have
   * @param client address of who asks
   * @returns the length of the answer, or NO_ANSWER. @hot
   */
  respond(start: number, length: number, room: number, client: number, nowMs: number): number {
    const { asked, answer, view } = this;
    const fault = asked.read(view, start, (start + length) | 0);
    if (fault === question.SILENCE) {
      this.count(IGNORED);
      return NO_ANSWER;
    }
    if (fault === question.FORMAT_ERROR || fault === question.NOT_IMPLEMENTED) {
      this.count(MALFORMED);
      return answer.headerOnly(start, fault);
    }
    answer.begin(asked, start, room);
    this.isOurs = false;
    const code = fault === question.NO_ERROR ? this.resolve() : fault;
    const size = answer.finish(asked, code, this.isOurs);
    this.countAnswer(code);
    if (size <= length * HARMLESS_TIMES || this.guard.allows(client, nowMs)) return size;
    return this.answerLimited(code);
  }

  /** Every other one is told to come by TCP, in an answer as short as the question. @hot */
  private answerLimited(code: number): number {
    this.count(LIMITED);
    this.limited = (this.limited + 1) | 0;
    if ((this.limited & 1) === 0) return NO_ANSWER;
    this.answer.truncate();
    return this.answer.finish(this.asked, code, this.isOurs);
  }

  /** @hot */
  private countAnswer(code: number): void {
    if (this.answer.isTruncated) this.count(TRUNCATED);
    if (code === question.NO_ERROR) this.count(ANSWERED);
    else if (code === question.NAME_ERROR) this.count(NOT_THERE);
    else if (code === question.REFUSED) this.count(REFUSED);
    else if (code === question.SERVER_FAILURE) this.count(NO_BACKEND);
    else this.count(MALFORMED);
  }

  /** Writes the records of the answer. @returns the response code. @hot */
  private resolve(): number {
    const { asked, answer } = this;
    if (asked.class !== CLASS_IN) return question.REFUSED;
    const node = this.find();
    if (this.zone === NOT_FOUND) return question.REFUSED;
    if (asked.type === TYPE_AXFR || asked.type === TYPE_IXFR) return question.REFUSED;
    this.isOurs = true;
    if (node === NOT_FOUND) {
      answer.writeSoa(this.zone);
      return question.NAME_ERROR;
    }
    if (asked.type === TYPE_ANY) {
      answer.writeAny(QUESTION_NAME);
      return question.NO_ERROR;
    }
    return this.follow(node);
  }

  /**
   * The node of the question's name, or NOT_FOUND; notes the zone that it is in. From the root downwards:
   * the last zone that is met is the one. Below a name that is not there nothing is, unless the last one that
   * was has a wildcard (RFC 4592 §3.3.1). @hot
   */
  private find(): number {
    const { asked, table, view } = this;
    let hash = 0;
    let node = NOT_FOUND;
    let above = NOT_FOUND;
    this.zone = NOT_FOUND;
    for (let label = (asked.labelCount - 1) | 0; label >= 0; label = (label - 1) | 0) {
      const at = asked.labels[label];
      hash = hashLabel(view, at, hash);
      node = table.find(view, at, (asked.nameEnd - at) | 0, hash);
      if (node === NOT_FOUND) {
        if (this.zone !== NOT_FOUND) return table.wildcardOf(above);
        continue;
      }
      if (table.isApex(node)) this.zone = table.zoneOf(node);
      above = node;
    }
    return node;
  }

  /** What a name has, and the names that its CNAME leads to. @hot */
  private follow(first: number): number {
    const { asked, answer, table } = this;
    let node = first;
    let owner = QUESTION_NAME;
    for (let aliases = 0; aliases <= ALIASES_MAX; aliases = (aliases + 1) | 0) {
      const alias = asked.type === TYPE_CNAME ? NOT_FOUND : table.setOf(node, TYPE_CNAME);
      if (alias === NOT_FOUND) return this.write(node, owner);
      answer.writeSet(alias, owner);
      owner = answer.lastData;
      if (table.leadsNowhere(node)) {
        answer.writeSoa(this.zone);
        return question.NAME_ERROR;
      }
      node = table.targetOf(node);
      // Elsewhere: whoever asks goes on asking there.
      if (node === NOT_FOUND) return question.NO_ERROR;
      this.zone = table.zoneOf(node);
    }
    return question.NO_ERROR;
  }

  /** The records that a name has of the type that was asked for. @hot */
  private write(node: number, owner: number): number {
    const { asked, answer, table, services } = this;
    const service = table.serviceOf(node);
    if (service !== NOT_FOUND && services.has(service, asked.type)) {
      const found = services.write(answer, service, asked.type, owner);
      return found === 0 ? question.SERVER_FAILURE : question.NO_ERROR;
    }
    const set = table.setOf(node, asked.type);
    if (set === NOT_FOUND) answer.writeSoa(this.zone);
    else answer.writeSet(set, owner);
    return question.NO_ERROR;
  }
}
