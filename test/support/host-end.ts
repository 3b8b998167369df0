// The far end of packet storage, for tests: in the place of the interface daemon, of one switching
// processor's two lanes.

import {
  CONTROL_INTERFACE,
  INTERFACE_LINK_UP,
  INTERFACE_MAC_HIGH,
  INTERFACE_MAC_LOW,
  INTERFACE_MTU,
} from '../../src/memory/layout.ts';
import {
  HOST_MAC,
  laneFromHost,
  laneToHost,
  PEER_MAC,
  StorageLane,
} from '../../src/memory/packet-storage.ts';
import type { MainMemory } from '../../src/memory/region.ts';
import * as ethernet from '../../src/wire/ethernet.ts';

/** The control host, as an interface: its frames go through packet storage. */
export const HOST = CONTROL_INTERFACE;
const macText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
export const HOST_MAC_TEXT = macText(HOST_MAC);
export const PEER_MAC_TEXT = macText(PEER_MAC);

/** Writes the block of the device, as the supervisor does. */
export function describeHost(memory: MainMemory): void {
  const set = (word: number, value: number): void => {
    memory.words[memory.interfaceWord(HOST, word)] = value;
  };
  set(INTERFACE_MAC_HIGH, ethernet.parseMacHigh(PEER_MAC_TEXT));
  set(INTERFACE_MAC_LOW, ethernet.parseMacLow(PEER_MAC_TEXT));
  set(INTERFACE_MTU, 1500);
  set(INTERFACE_LINK_UP, 1);
}

/** A frame that has reached the host. */
export function atHost(bytes: Uint8Array): { egress: number; bytes: Uint8Array } {
  return { egress: HOST, bytes };
}

export class HostEnd {
  private readonly memory: MainMemory;
  private readonly toHost: StorageLane;
  private readonly fromHost: StorageLane;

  constructor(memory: MainMemory, processor: number) {
    this.memory = memory;
    this.toHost = new StorageLane(memory, laneToHost(memory.layout, processor));
    this.fromHost = new StorageLane(memory, laneFromHost(memory.layout, processor));
  }

  /** Leaves a frame as the host's. @returns false when the lane is full. */
  inject(bytes: Uint8Array): boolean {
    const at = this.fromHost.reserve();
    if (at < 0) return false;
    this.memory.bytes.set(bytes, at);
    this.fromHost.commit(bytes.length);
    this.fromHost.publish();
    return true;
  }

  /** Everything that was left for the host. */
  collect(): Uint8Array[] {
    const count = this.toHost.available();
    const collected = Array.from({ length: count }, (_, i) => {
      const at = this.toHost.frame(i);
      return this.memory.bytes.slice(at, at + this.toHost.length(i));
    });
    this.toHost.release(count);
    return collected;
  }

  /** The same, but throws it away. */
  drain(): void {
    this.toHost.release(this.toHost.available());
  }
}
