// What is weir's on an interface that stays the kernel's (`mode: shared`): made of each configuration and
// put into force in the claims (sys/claims-map.ts), which the XDP programs look frames up in.
//
// Order: a configuration is in force in every switching processor before its claims are, so nothing is
// taken that nobody would know. What is configured no longer stays claimed while connections of it live
// (docs/decisions/0004): the kernel would end them with a reset.
// Invariants: replacements come one after the other. A configuration whose claims do not fit is refused
// before it is in force. A control processor that was killed finds what it had claimed in the map, and
// gives back nothing that may still have connections.

import { networkInterfaces } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { INTERFACE_MAC_HIGH, INTERFACE_MAC_LOW } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { ADDRESS_IS_KERNELS, MAX_CLAIMS } from '../sys/claims-map.ts';
import { type ClaimsTable, checkClaimCount } from '../sys/claims-table.ts';
import { BACKEND_ACTIVE, sumBackend } from '../tables/connection-backends.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { ClaimSet, claimsOf } from './claim-set.ts';
import type { Ids } from './compile-configuration.ts';
import type { Configuration } from './config/schema.ts';
import type { ClaimsStatus, SharedStatus } from './status-shape.ts';

const SWEEP_INTERVAL_MS = 1000;
const UNDER_WAY_POLL_MS = 2;
/** A processor that hangs does not hold up the others' services for longer. */
const UNDER_WAY_MAX_MS = 1000;

/** What `Claims` asks the publisher. */
export interface Published {
  readonly runningIds: Ids;
  readonly formerBackends: readonly number[];
  /** Whether some processor has not taken over the last configuration yet. */
  readonly isUnderWay: boolean;
}

const NO_IDS: Ids = { services: new Map(), backends: new Map() };

/** Addresses that the kernel of this namespace has, whatever interface they are on. */
export function kernelAddresses(): number[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address }) => parseAddress(address)),
  );
}

export class Claims {
  private readonly memory: MainMemory;
  private readonly table: ClaimsTable;
  private readonly readKernelAddresses: () => readonly number[];
  private configuration: Configuration | undefined;
  private published: Published | undefined;
  /** In force. */
  private current = new ClaimSet();
  /** How many of them are of what is configured no longer. */
  private former = 0;
  /** How many claims were wanted and did not fit; 0: all that are wanted are in force. */
  private refused = 0;
  private kernels: readonly number[] = [];
  private lastTask: Promise<unknown> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;

  constructor(memory: MainMemory, table: ClaimsTable, readKernelAddresses = kernelAddresses) {
    this.memory = memory;
    this.table = table;
    this.readKernelAddresses = readKernelAddresses;
  }

  /**
   * Whether the claims of a configuration would fit, beside those that connections still need.
   * @throws WeirError ERR_TABLE_FULL
   */
  check(configuration: Configuration): void {
    const ids = this.published?.runningIds ?? NO_IDS;
    checkClaimCount(this.wantedBy(configuration, ids, this.readKernelAddresses()).wanted.size);
  }

  /**
   * A configuration has been published: its claims are put into force when it is.
   * @throws WeirError ERR_TABLE_FULL; the claims before stay in force then
   */
  follow(configuration: Configuration, published: Published): Promise<void> {
    return this.inTurn(async () => {
      const isFirst = this.configuration === undefined;
      this.configuration = configuration;
      this.published = published;
      if (isFirst) this.adopt(published.formerBackends);
      await untilInForce(published);
      this.writeMacAddresses();
      await this.renew();
      this.timer ??= setInterval(() => void this.sweep(), SWEEP_INTERVAL_MS).unref();
    });
  }

  /** Gives back what has no connections any more, and follows the kernel's addresses and our MACs. */
  sweep(): Promise<void> {
    this.writeMacAddresses();
    const isSame = isDeepStrictEqual(this.readKernelAddresses(), this.kernels);
    if (isSame && this.former === 0 && this.refused === 0) return Promise.resolve();
    return this.inTurn(() => this.renew()).catch(() => {});
  }

  status(): ClaimsStatus {
    const { current, former, refused } = this;
    return { inForce: current.size, capacity: MAX_CLAIMS, former, refused };
  }

  /** What the program of a shared interface has done with its frames. */
  interfaceStatus(interfaceNumber: number): SharedStatus {
    const { taken, left } = this.table.frames(interfaceNumber);
    return { framesTaken: taken, framesLeftToKernel: left };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private inTurn(task: () => Promise<void>): Promise<void> {
    const result = this.lastTask.then(task);
    this.lastTask = result.catch(() => {});
    return result;
  }

  /** What a control processor before this one has claimed: any former backend may need it. */
  private adopt(formerBackends: readonly number[]): void {
    for (const { address, key, flags } of this.table.read()) {
      if (flags === ADDRESS_IS_KERNELS) continue;
      this.current.add(address, key, flags, formerBackends);
    }
  }

  private async renew(): Promise<void> {
    const { configuration, published } = this;
    if (configuration === undefined || published === undefined) return;
    this.kernels = this.readKernelAddresses();
    const { wanted, former } = this.wantedBy(configuration, published.runningIds, this.kernels);
    this.refused = wanted.size;
    if (wanted.text() !== this.current.text()) await this.table.replace(wanted.values());
    this.current = wanted;
    this.former = former;
    this.refused = 0;
  }

  /** The claims of a configuration, and so many that are only needed by connections of before. */
  private wantedBy(
    configuration: Configuration,
    ids: Ids,
    kernels: readonly number[],
  ): { wanted: ClaimSet; former: number } {
    const wanted = claimsOf(configuration, ids, kernels);
    const configured = wanted.size;
    for (const { address, key, flags, backends } of this.current.values()) {
      const needing = [...backends].filter((backend) => this.hasConnections(backend));
      if (needing.length > 0) wanted.add(address, key, flags, needing);
    }
    return { wanted, former: wanted.size - configured };
  }

  private hasConnections(backend: number): boolean {
    return sumBackend(this.memory, backend, BACKEND_ACTIVE) > 0;
  }

  private writeMacAddresses(): void {
    const { words } = this.memory;
    const interfaces = this.configuration?.interfaces.length ?? 0;
    const mac = new DataView(new ArrayBuffer(6));
    for (let i = 0; i < interfaces; i++) {
      mac.setUint16(0, words[this.memory.interfaceWord(i, INTERFACE_MAC_HIGH)]);
      mac.setInt32(2, words[this.memory.interfaceWord(i, INTERFACE_MAC_LOW)]);
      this.table.setMacAddress(i, new Uint8Array(mac.buffer));
    }
  }
}

async function untilInForce(published: Published): Promise<void> {
  const deadline = performance.now() + UNDER_WAY_MAX_MS;
  while (published.isUnderWay && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, UNDER_WAY_POLL_MS));
  }
}
