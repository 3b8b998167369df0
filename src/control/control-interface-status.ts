// How the control host by an interface of the kernel's is: its pairs of addresses, what is known of the real
// ones on their network, and what was translated. Part of the status; pure. What is known of a real address is
// read from the neighbors of the same status, so that the two never differ.

import type { CountersReading } from '../memory/counters.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { connectedRoutes, interfaceTowards } from './compile-routes.ts';
import type { Configuration } from './config/schema.ts';
import type { ControlInterfaceStatus, NeighborStatus } from './status-shape.ts';

/** @returns null where it is not configured */
export function controlInterfaceStatus(
  configuration: Configuration | undefined,
  { reasons }: CountersReading,
  neighbors: readonly NeighborStatus[],
): ControlInterfaceStatus | null {
  if (configuration === undefined || configuration.controlPairs.length === 0) return null;
  const connected = connectedRoutes(configuration);
  return {
    pairs: configuration.controlPairs.map(({ virtual, real }) => {
      const number = interfaceTowards(connected, parseAddress(real));
      const name = configuration.interfaces[number]?.name ?? String(number);
      const neighbor = neighbors.find((each) => {
        return each.interface === name && each.address === real;
      });
      const { mac = null, state = null } = neighbor ?? {};
      return { virtual, real, interface: name, mac, state };
    }),
    toHost: { packets: reasons['to-control-interface'] },
    fromHost: { packets: reasons['from-control-interface'] },
  };
}
