// Health check by TCP: the server accepts a connection. It proves that the kernel listens there, not
// that the program behind it works: a hung server is still accepted for, until its backlog is full.
// Also here: how every probe over TCP lets go of its connection.

import { connect, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { duration } from '../words.ts';
import { failed, failedBy, type Probe, type ProbeResult, passed } from './probe.ts';

/**
 * Destroys a connection that was given up: with a reset, so that neither side keeps a half-closed one.
 * One that is not established yet is simply closed, as a reset would wait for that; so is one under TLS,
 * for which Node has no reset.
 */
export function abandon(socket: Socket): void {
  if (socket.connecting || socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

export const probeTcp: Probe = ({ address, port, settings }, finish) => {
  const socket = connect({ host: address, port });
  let isOver = false;
  const end = (result: ProbeResult): void => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    finish(result);
  };
  socket.on('connect', () => end(passed('connected')));
  socket.on('error', (error) => end(failedBy(error)));
  socket.on('close', () => end(failed('connection closed')));
  return {
    expire: () => failed(`no connection within ${duration(settings.timeoutMs)}`),
    cancel() {
      isOver = true;
      abandon(socket);
      return undefined;
    },
  };
};
