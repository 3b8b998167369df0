// What the routing daemon knows of the host beside its routes: links, addresses and neighbors, filled by a dump
// and kept by events. Links give routes their names, and tell when routes may have changed without a word.
// Addresses and neighbors are counted and shown: weir has networks of its own to stand on, and asks for its
// neighbors itself (switching/arp-stage.ts).
// Invariant: at most ENTRIES_MAX of each kind are kept; beyond that only the counts are too low.

import {
  decodeAddress,
  decodeNeighbor,
  NUD_NOARP,
  NUD_NONE,
  RTM_DELADDR,
  RTM_DELNEIGH,
  RTM_NEWADDR,
  RTM_NEWNEIGH,
} from '../sys/host-messages.ts';
import { decodeLinkMessage } from '../sys/netlink.ts';
import { AF_INET, AF_INET6 } from '../sys/route-messages.ts';

/** Far beyond what the kernel keeps of neighbors by default (1,024). */
const ENTRIES_MAX = 65_536;

export interface HostCounts {
  readonly links: number;
  readonly addresses: number;
  readonly neighbors: number;
}

export class HostMirror {
  readonly #links = new Map<number, { readonly name: string; readonly running: boolean }>();
  readonly #addresses = new Set<string>();
  readonly #neighbors = new Set<string>();

  get counts(): HostCounts {
    return {
      links: this.#links.size,
      addresses: this.#addresses.size,
      neighbors: this.#neighbors.size,
    };
  }

  /** Names of links by index. */
  linkNames(): Map<number, string> {
    return new Map(Array.from(this.#links, ([index, { name }]) => [index, name]));
  }

  /**
   * A message of a dump or an event; of other kinds it takes no notice.
   * @returns whether the kernel may change routes because of it without telling: it removes those of a link
   *   that goes down or an address that goes away, and uses ways again whose link has come back
   */
  apply(type: number, payload: DataView): boolean {
    if (type === RTM_NEWADDR || type === RTM_DELADDR) {
      const address = decodeAddress(payload);
      if (address === undefined) return false;
      const { interfaceIndex, prefixLength } = address;
      const name = `${interfaceIndex} ${address.address.join('.')}/${prefixLength}`;
      set(this.#addresses, name, type === RTM_NEWADDR);
      return type === RTM_DELADDR;
    }
    if (type === RTM_NEWNEIGH || type === RTM_DELNEIGH) {
      const neighbor = decodeNeighbor(payload);
      // The bridge tells of its own, under a family of its own.
      if (neighbor?.family !== AF_INET && neighbor?.family !== AF_INET6) return false;
      const { interfaceIndex, state, address } = neighbor;
      const isOne = state !== NUD_NONE && (state & NUD_NOARP) === 0;
      set(
        this.#neighbors,
        `${interfaceIndex} ${address.join('.')}`,
        isOne && type === RTM_NEWNEIGH,
      );
      return false;
    }
    return this.#applyLink(type, payload);
  }

  #applyLink(type: number, payload: DataView): boolean {
    const link = decodeLinkMessage(type, payload);
    if (link === undefined) return false;
    const { index, name, running } = link;
    const before = this.#links.get(index);
    if (link.gone) this.#links.delete(index);
    else if (before !== undefined || this.#links.size < ENTRIES_MAX) {
      this.#links.set(index, { name, running });
    }
    return link.gone || before?.running !== running;
  }
}

function set(entries: Set<string>, name: string, isThere: boolean): void {
  if (!isThere) entries.delete(name);
  else if (entries.size < ENTRIES_MAX) entries.add(name);
}
