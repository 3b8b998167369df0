// What the agent's listeners have in common: they open a port or say why not, they count what they
// accept (so that it can be told apart from the service's clients), and they end within a moment.
// Invariant: after `stopListening` there is no connection and no port.

import type { AddressInfo, Server, Socket } from 'node:net';
import { SystemError } from '../base/errors.ts';

/** Counts connections over all listeners of the agent. */
export interface AcceptCount {
  accepted: number;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * Opens the port.
 *
 * @returns the port, which differs from that of the endpoint when it is 0
 * @throws SystemError when it is taken or may not be opened
 */
export function listen(server: Server, { address, port }: Endpoint): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const advice =
        error.code === 'EADDRINUSE'
          ? 'another program, or another agent, has this port: ss -ltnp shows which'
          : 'choose an address of this machine and a port above 1023';
      const subject = `${address}:${port}`;
      reject(new SystemError('ERR_SYSTEM_CALL', 'listen', error.code ?? '?', subject, advice));
    });
    server.listen(port, address, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Closes the port and, at once, every connection. */
export async function stopListening(server: Server, open: Iterable<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of open) socket.destroy();
  await closed;
}
