// Offers UDP packets to a contender and counts what has passed it: what the part 'packets' measures
// with. The receiver stands in front of all servers and is started anew for each contender, on the cable
// that its packets arrive by.

import {
  type OfferResult,
  offerUdp,
  type Receiver,
  startReceiver,
  type TrafficOptions,
} from '../../src/lab/traffic.ts';
import { type BenchNetwork, LOAD_CPU } from './bench-network.ts';
import type { Target } from './contender.ts';

/** At which connections are made before the measurement. */
export const MAKING_RATE = 200_000;
const MAKING_PASSES = 2;

/** What the generator is told to send to a target. */
export function trafficTo(
  network: BenchNetwork,
  target: Target,
  more: Partial<TrafficOptions>,
): TrafficOptions {
  return {
    namespace: network.client.namespace,
    interface: target.clientInterface,
    destination: target.address,
    destinationMac: target.nextHopMac,
    destinationPort: target.port,
    cpu: LOAD_CPU,
    seconds: 1,
    ...more,
  };
}

/** What a contender is measured with, while it runs. */
export class PacketLoad {
  readonly #network: BenchNetwork;
  readonly #target: Target;
  readonly #flows: number;
  readonly #receiver: Receiver;

  private constructor(network: BenchNetwork, target: Target, flows: number, receiver: Receiver) {
    this.#network = network;
    this.#target = target;
    this.#flows = flows;
    this.#receiver = receiver;
  }

  static async start(network: BenchNetwork, target: Target, flows: number): Promise<PacketLoad> {
    const receiver = await startReceiver({ ...network.receiverOf(target), gap: false });
    return new PacketLoad(network, target, flows, receiver);
  }

  get connections(): number {
    return this.#flows;
  }

  /** Makes all connections: again while packets of the first of them are lost. */
  async makeConnections(): Promise<void> {
    const seconds = Math.max(1, (this.#flows / MAKING_RATE) * 2);
    for (let pass = 0; pass < MAKING_PASSES; pass += 1) {
      const all = { order: 'sequential', packets: this.#flows } as const;
      const { lost } = await this.offer(MAKING_RATE, seconds, all);
      if (lost <= 0) return;
    }
  }

  /** @param rate packets per second, or as many as there can be */
  offer(
    rate: number | undefined,
    seconds: number,
    more: Partial<TrafficOptions> = {},
  ): Promise<OfferResult> {
    const options = {
      flows: this.#flows,
      seconds,
      ...(rate === undefined ? {} : { rate }),
      ...more,
    };
    return offerUdp(trafficTo(this.#network, this.#target, options), this.#receiver);
  }

  stop(): Promise<void> {
    return this.#receiver.stop();
  }
}

/** Packets per second that came out at the far end; what drains after the end is a millisecond's. */
export function passed({ packets, duplicates, offeredSeconds }: OfferResult): number {
  return (packets - duplicates) / offeredSeconds;
}
