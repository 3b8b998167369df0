// Asks an agent of HAProxy's agent-check: opens a TCP connection, sends a text if one is configured, and
// reads one line of words (src/load/agent-check.ts). What a line does not mention stays as it was, and
// only the agent can take back what it asked for: so its state is kept (`WishMemory`, by backend), also
// over a reload, and is in force while the agent cannot be reached, which is no error of the server's.
// Source: HAProxy configuration manual, section 5.2, "agent-check".
// Invariant: at most LARGEST_ANSWER_BYTES of an answer are kept; one connection at a time.

import { connect } from 'node:net';
import { parseAgentCheck } from '../load/agent-check.ts';
import type { LoadWish } from '../load/load-report.ts';
import { isRejection } from '../load/rejections.ts';
import { PollLoop } from './poll-loop.ts';
import type { PolledSource, SourceContext } from './settings.ts';

export const LARGEST_ANSWER_BYTES = 256;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** What each backend's agent has asked for so far. */
export type WishMemory = Map<string, LoadWish>;

export function startAgentCheck(context: SourceContext, memory: WishMemory): PolledSource {
  const { backend, intervalMs, timeoutMs } = context.settings;
  return new PollLoop({
    intervalMs,
    timeoutMs,
    random: () => context.random(),
    outcome: (error) => {
      context.outcome(error);
      // What it asked for holds until it says otherwise, so it may not grow old.
      const wish = memory.get(backend);
      if (error !== undefined && wish !== undefined) context.report({}, wish);
    },
    attempt: async (signal) => {
      const answer = parseAgentCheck(await askAgent(context, signal));
      if (signal.aborted) return;
      if (isRejection(answer)) {
        context.rejected(answer);
        throw new Error(answer.detail);
      }
      const wish = mergeWish(memory.get(backend), answer.wish);
      memory.set(backend, wish);
      context.report({}, wish);
    },
  });
}

/** What an agent asks for after a line that mentions some of it. */
export function mergeWish(before: LoadWish = {}, mentioned: LoadWish): LoadWish {
  const kept: { -readonly [key in keyof LoadWish]: LoadWish[key] } = { ...before };
  if (mentioned.weight !== undefined || mentioned.weightPercent !== undefined) {
    // Both set the one weight.
    delete kept.weight;
    delete kept.weightPercent;
  }
  // The reason was that of the state before.
  if (mentioned.operational !== undefined) delete kept.reason;
  return { ...kept, ...mentioned };
}

/** What the agent sends, up to the end of its first line. Rejects with what went wrong. */
function askAgent(context: SourceContext, signal: AbortSignal): Promise<Buffer> {
  const { address, port, send } = context.settings;
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, signal });
    let answer = Buffer.alloc(0);
    const finish = (error?: Error): void => {
      socket.removeAllListeners('data');
      socket.destroy();
      if (error === undefined) resolve(answer);
      else reject(error);
    };
    if (send !== undefined) socket.on('connect', () => socket.write(send));
    socket.on('data', (piece) => {
      answer = Buffer.concat([answer, piece.subarray(0, LARGEST_ANSWER_BYTES - answer.length)]);
      if (answer.includes(LINE_FEED) || answer.includes(CARRIAGE_RETURN)) finish();
      else if (answer.length === LARGEST_ANSWER_BYTES) {
        finish(new Error(`no end of line within ${LARGEST_ANSWER_BYTES} bytes`));
      }
    });
    socket.on('error', finish);
    // A line without its end is judged by the one who reads it.
    socket.on('end', () => finish());
    socket.on('close', () => finish(new Error('the connection was closed')));
  });
}
