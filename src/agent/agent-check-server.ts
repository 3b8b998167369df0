// Answers HAProxy's agent-check (src/load/agent-check.ts), so that the agent can serve other
// balancers as well: whoever connects gets one line and the connection ends. What it sends is read
// and thrown away.
//
// The weight is what the server has left: 100 percent when idle, 1 when full (0 would take the
// server out). 'ready' and 'up' are said only to take back what was asked before: a balancer's
// operator may have drained the server by hand, which an agent must not undo.

import { createServer, type Server, type Socket } from 'node:net';
import { formatAgentCheck } from '../load/agent-check.ts';
import type { LoadFigures, LoadWish } from '../load/load-report.ts';
import type { BackendLoad } from '../load/signed-report.ts';
import { type AcceptCount, type Endpoint, listen, stopListening } from './listening.ts';

export const MAX_CONNECTIONS = 64;
const MAX_RECEIVED_BYTES = 4096;
const TIMEOUT_MS = 2_000;

/** Keeps what was asked for earlier, for one backend. */
export class AgentCheckAnswers {
  private hasHeldBack = false;
  private hasBeenDown = false;

  /** The line for the present load. */
  answer({ figures, wish = {} }: Pick<BackendLoad, 'figures' | 'wish'>): string {
    const { administrative, operational } = wish;
    if (administrative === 'drain' || administrative === 'maint') this.hasHeldBack = true;
    if (operational === 'down') this.hasBeenDown = true;
    const whole: LoadWish = {
      ...wish,
      weightPercent: wish.weightPercent ?? (wish.weight === undefined ? free(figures) : undefined),
      administrative: administrative ?? (this.hasHeldBack ? 'ready' : undefined),
      operational: operational ?? (this.hasBeenDown ? 'up' : undefined),
    };
    return formatAgentCheck(whole);
  }
}

/** Percent that are free; undefined when nothing is known. */
function free({ applicationUtilization, cpuUtilization }: LoadFigures): number | undefined {
  const utilization = applicationUtilization ?? cpuUtilization;
  if (utilization === undefined) return undefined;
  return Math.min(100, Math.max(1, Math.round(100 * (1 - utilization))));
}

/** Serves from `start` to `stop`. */
export class AgentCheckServer {
  private readonly server: Server;
  private readonly open = new Set<Socket>();
  private readonly endpoint: Endpoint;

  /** @param load the present one of the backend that is spoken for */
  constructor(endpoint: Endpoint, load: () => BackendLoad, count: AcceptCount) {
    this.endpoint = endpoint;
    const answers = new AgentCheckAnswers();
    this.server = createServer((socket) => {
      count.accepted++;
      this.open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.open.delete(socket));
      // Unread bytes would turn the end of the connection into a reset, and the answer might be lost.
      socket.on('data', () => {
        if (socket.bytesRead > MAX_RECEIVED_BYTES) socket.destroy();
      });
      socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
      socket.end(answers.answer(load()));
    });
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  /** @returns the port @throws SystemError when the port cannot be opened */
  start(): Promise<number> {
    return listen(this.server, this.endpoint);
  }

  stop(): Promise<void> {
    return stopListening(this.server, this.open);
  }
}
