// Names that stand for services: which backends are told to the next who asks. The distribution is walked,
// one position per answer, so that the first addresses of all answers follow the weights exactly; each
// processor begins somewhere else. An answer with several addresses has the next ones that differ.

import { encodeIpv6, TYPE_A, TYPE_AAAA } from '../../wire/dns-records.ts';
import type { ApplicationHost } from '../contract.ts';
import type { ServiceView } from '../service-view.ts';
import type { Answer } from './answer.ts';
import type { ServiceName } from './zone-compiler.ts';

/** Most addresses in one answer. */
const ANSWERS_MAX = 16;
/** Positions that are looked at for one answer: one backend may stand at many in a row. */
const LOOKS_MAX = 64;
const NONE = -1;

export class ServiceAnswers {
  private readonly views: readonly ServiceView[];
  private readonly positions: Int32Array;
  private readonly ttls: Int32Array;
  private readonly counts: Int32Array;
  /** Backends with an IPv6 address, as (number of the name, backend, offset in `addresses`). */
  private readonly ipv6: Int32Array;
  private readonly addresses: Uint8Array;
  private readonly chosen = new Int32Array(ANSWERS_MAX);

  constructor(host: ApplicationHost, names: readonly ServiceName[]) {
    this.views = names.map(({ service }) => host.service(service));
    const share = Math.trunc((2 ** 30 * host.processor) / host.processors);
    this.positions = new Int32Array(names.length).fill(share);
    this.ttls = Int32Array.from(names, ({ ttl }) => ttl);
    this.counts = Int32Array.from(names, ({ answers }) => Math.min(answers, ANSWERS_MAX));
    const ipv6: number[] = [];
    const addresses: number[] = [];
    for (const [i, name] of names.entries()) {
      for (const [backend, text] of Object.entries(name.ipv6)) {
        ipv6.push(i, this.views[i].backendId(backend), addresses.length);
        addresses.push(...encodeIpv6(text));
      }
    }
    this.ipv6 = Int32Array.from(ipv6);
    this.addresses = Uint8Array.from(addresses);
  }

  /** Whether a name has addresses of a type at all, now or when its backends are up. @hot */
  has(name: number, type: number): boolean {
    if (type === TYPE_A) return true;
    if (type !== TYPE_AAAA) return false;
    for (let i = 0; i < this.ipv6.length; i = (i + 3) | 0) {
      if (this.ipv6[i] === name) return true;
    }
    return false;
  }

  /** Writes addresses of backends. @returns how many there were; 0: none takes connections. @hot */
  write(answer: Answer, name: number, type: number, owner: number): number {
    const found = this.choose(name, type);
    for (let i = 0; i < found; i = (i + 1) | 0) {
      const backend = this.chosen[i];
      if (type === TYPE_A) {
        answer.writeAddress(owner, type, this.ttls[name], this.views[name].address(backend));
      } else {
        const offset = this.ipv6Of(name, backend);
        answer.writeIpv6(owner, type, this.ttls[name], this.addresses, offset);
      }
    }
    return found;
  }

  /** @hot */
  private choose(name: number, type: number): number {
    const view = this.views[name];
    const wanted = this.counts[name];
    const positions = view.positions();
    const looks = positions < LOOKS_MAX ? positions : LOOKS_MAX;
    const first = this.positions[name];
    this.positions[name] = (first + 1) & 0x3fffffff;
    let found = 0;
    for (let i = 0; i < looks && found < wanted; i = (i + 1) | 0) {
      const backend = view.choose((first + i) & 0x3fffffff);
      if (backend < 0 || this.isChosen(backend, found)) continue;
      if (type === TYPE_AAAA && this.ipv6Of(name, backend) === NONE) continue;
      this.chosen[found] = backend;
      found = (found + 1) | 0;
    }
    return found;
  }

  /** @hot */
  private isChosen(backend: number, found: number): boolean {
    for (let i = 0; i < found; i = (i + 1) | 0) if (this.chosen[i] === backend) return true;
    return false;
  }

  /** Offset of a backend's IPv6 address in `addresses`, or NONE. @hot */
  private ipv6Of(name: number, backend: number): number {
    for (let i = 0; i < this.ipv6.length; i = (i + 3) | 0) {
      if (this.ipv6[i] === name && this.ipv6[i + 1] === backend) return this.ipv6[i + 2];
    }
    return NONE;
  }
}
