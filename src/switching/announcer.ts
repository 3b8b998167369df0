// Gratuitous ARP (RFC 5227 §3): tells the neighbors where our addresses are, at start, when an address
// is new, and when an interface comes up again; twice, two seconds apart. An interface's addresses are
// announced there; a service's address on the interface whose network it belongs to. Runs in small
// steps from the housekeeping, so that thousands of services do not hold up the packets.

import { INTERFACE_LINK_UP, MAX_SERVICES } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import type { ArpStage } from './arp-stage.ts';

/** Places looked at in one step. */
const STEP = 64;
const ROUNDS = 2;
const ROUND_INTERVAL_MS = 2000;

export class Announcer {
  private readonly memory: MainMemory;
  private readonly arp: ArpStage;
  /** Interfaces that this processor announces on: those whose first queue it polls. */
  private readonly interfaces: Int32Array;
  private readonly wasUp: Int32Array;
  private roundsLeft = 0;
  private nextRoundAt = 0;
  private cursor = 0;
  private isInRound = false;

  constructor(memory: MainMemory, arp: ArpStage, interfaces: Int32Array) {
    this.memory = memory;
    this.arp = arp;
    this.interfaces = interfaces;
    this.wasUp = new Int32Array(interfaces.length);
  }

  /** Begins anew: at start and when our addresses have changed. */
  begin(nowMs: number): void {
    this.roundsLeft = ROUNDS;
    this.nextRoundAt = nowMs;
    this.isInRound = false;
  }

  /** A bounded piece of work; every few milliseconds. @hot */
  step(configuration: number, nowMs: number): void {
    this.watchLinks(nowMs);
    if (!this.isInRound) {
      if (this.roundsLeft === 0 || ((nowMs - this.nextRoundAt) | 0) < 0) return;
      this.isInRound = true;
      this.cursor = 0;
      for (let i = 0; i < this.interfaces.length; i++) {
        this.announceInterface(configuration, this.interfaces[i]);
      }
    }
    const end = Math.min(this.cursor + STEP, MAX_SERVICES);
    for (let service = this.cursor; service < end; service++) {
      this.announceService(configuration, service);
    }
    this.cursor = end;
    if (end < MAX_SERVICES) return;
    this.isInRound = false;
    this.roundsLeft = (this.roundsLeft - 1) | 0;
    this.nextRoundAt = (nowMs + ROUND_INTERVAL_MS) | 0;
  }

  /** An interface that came up is announced on again. @hot */
  private watchLinks(nowMs: number): void {
    const { words } = this.memory;
    for (let i = 0; i < this.interfaces.length; i++) {
      const up = words[this.memory.interfaceWord(this.interfaces[i], INTERFACE_LINK_UP)];
      if (up !== 0 && this.wasUp[i] === 0) this.begin(nowMs);
      this.wasUp[i] = up;
    }
  }

  /** @hot */
  private announceInterface(configuration: number, interfaceNumber: number): void {
    const { words } = this.memory;
    const count = table.interfaceAddressCount(words, configuration, interfaceNumber);
    for (let n = 0; n < count; n++) {
      const address = table.interfaceAddress(words, configuration, interfaceNumber, n);
      this.arp.announce(interfaceNumber, address);
    }
  }

  /** @hot */
  private announceService(configuration: number, service: number): void {
    const { words } = this.memory;
    if (table.isServiceValid(words, configuration, service) === 0) return;
    const address = table.serviceAddress(words, configuration, service);
    for (let i = 0; i < this.interfaces.length; i++) {
      if (this.isOnNetwork(configuration, this.interfaces[i], address)) {
        this.arp.announce(this.interfaces[i], address);
      }
    }
  }

  /** @hot */
  private isOnNetwork(configuration: number, interfaceNumber: number, address: number): boolean {
    const { words } = this.memory;
    const count = table.interfaceAddressCount(words, configuration, interfaceNumber);
    for (let n = 0; n < count; n++) {
      const length = table.interfacePrefixLength(words, configuration, interfaceNumber, n);
      const own = table.interfaceAddress(words, configuration, interfaceNumber, n);
      if (length === 0 || (own ^ address) >>> (32 - length) === 0) return true;
    }
    return false;
  }
}
