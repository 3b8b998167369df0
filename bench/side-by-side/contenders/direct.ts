// No balancer at all: the client reaches the first server over the second cable. What the others add
// to it is what they cost; see bench-network.ts for what it contains.

import type { Contender } from '../contender.ts';

export const direct: Contender = {
  name: 'direct',
  label: 'direct, no balancer',
  protocols: ['udp', 'tcp'],
  unavailable: () => undefined,
  start: async (network, wanted) => {
    const [server] = network.servers;
    await network.waitUntilReachable(server.address, network.directEnd);
    return {
      target: network.directTarget(wanted.port, server),
      processes: () => [],
      stop: async () => {},
    };
  },
};
