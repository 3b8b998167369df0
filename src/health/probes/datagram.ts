// One question by UDP: a connected socket, so that only this server's datagrams come in and a refusal
// of its host (ICMP port unreachable) is heard. Used by the probes of type dns and udp.
// Invariant: the socket is closed before `finish` is called and when `cancel` returns.

import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import type { HealthTarget } from '../health-state.ts';
import { codeOf, duration } from '../words.ts';
import { failed, failedBy, type ProbeResult, type RunningProbe } from './probe.ts';

export interface DatagramJudge {
  /** What a datagram means; undefined: wait on. */
  take(message: Buffer): ProbeResult | undefined;
  /** What silence means; `within` is the timeout in words. */
  expire(within: string): ProbeResult;
}

/** Sends one datagram and hands what comes back to `judge` until it knows. */
export function askByDatagram(
  { address, port, settings }: HealthTarget,
  payload: Buffer,
  finish: (result: ProbeResult) => void,
  judge: DatagramJudge,
): RunningProbe {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
  let isOver = false;
  const end = (result: ProbeResult): void => {
    if (isOver) return;
    isOver = true;
    socket.close();
    finish(result);
  };
  const endWithError = (error: Error): void => {
    const isRefused = codeOf(error) === 'ECONNREFUSED';
    end(isRefused ? failed('port unreachable: nothing listens there') : failedBy(error));
  };
  socket.on('error', endWithError);
  socket.on('message', (message) => {
    const result = isOver ? undefined : judge.take(message);
    if (result !== undefined) end(result);
  });
  // The callback of connect hears of its errors too; without one they would be raised as events.
  socket.connect(port, address, ((error?: Error) => {
    if (isOver) return;
    if (error instanceof Error) endWithError(error);
    else socket.send(payload, (fault) => fault instanceof Error && endWithError(fault));
  }) as () => void);
  return {
    expire: () => judge.expire(duration(settings.timeoutMs)),
    cancel() {
      if (!isOver) socket.close();
      isOver = true;
      return undefined;
    },
  };
}
