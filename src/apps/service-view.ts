// A service as an application sees it: its backends, and whom the master's distribution chooses (Fig. 4,
// B3). It reads the active configuration table, so that a backend that goes down or gets another weight
// is out of it, or in it as often as it should be, from the next turn on.
// Invariant: a backend that takes no connection (down, drained, weight 0) is not chosen.

import * as table from '../tables/configuration-table.ts';

/** Where the active configuration table is: the runner sets it when another one is published. */
export class ActiveTables {
  /** Index in `words` of the configuration table. */
  configuration = 0;
}

export class ServiceView {
  readonly name: string;
  private readonly id: number;
  private readonly words: Int32Array;
  private readonly active: ActiveTables;
  private readonly backendIds: ReadonlyMap<string, number>;

  constructor(
    name: string,
    id: number,
    backends: readonly { readonly name: string; readonly id: number }[],
    words: Int32Array,
    active: ActiveTables,
  ) {
    this.name = name;
    this.id = id;
    this.words = words;
    this.active = active;
    this.backendIds = new Map(backends.map((backend) => [backend.name, backend.id]));
  }

  /** Number of a backend, for `setup`. Throws when the service has none of this name. */
  backendId(name: string): number {
    const id = this.backendIds.get(name);
    if (id === undefined) throw new Error(`service ${this.name} has no backend ${name}`);
    return id;
  }

  /**
   * The backend at a position of the distribution: each stands there as often as its weight says, so that
   * counting up serves everyone fairly, and a hash gives one client the same.
   * @returns its number, or -1: none takes connections. @hot
   */
  choose(position: number): number {
    const { words, id } = this;
    const { configuration } = this.active;
    const pool = table.servicePool(configuration, id);
    return table.selectBackend(words, configuration, pool, position);
  }

  /** Positions of the distribution: 0 when no backend takes connections. @hot */
  positions(): number {
    const pool = table.servicePool(this.active.configuration, this.id);
    return table.selectionLength(this.words, pool);
  }

  /** Address of a backend, as int32. @hot */
  address(backend: number): number {
    return table.backendAddress(this.words, this.active.configuration, backend);
  }

  /** @hot */
  port(backend: number): number {
    return table.backendPort(this.words, this.active.configuration, backend);
  }

  /** 0: it takes no connections. @hot */
  weight(backend: number): number {
    return table.backendWeight(this.words, this.active.configuration, backend);
  }
}
