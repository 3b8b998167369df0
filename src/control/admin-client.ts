// Talks to the control processor over its unix socket: what `weir status`, `weir reload`, `weir drain` …
// use, and everything else that is not a control processor itself.
// One request, one connection: nothing is kept that a restarted control processor would not know.

import { request } from 'node:http';
import { WeirError } from '../base/errors.ts';

/** Where the control socket is when nobody says otherwise. */
export const DEFAULT_SOCKET_PATH = '/run/weir/weir.sock';

const TIMEOUT_MS = 10_000;

const START_IT =
  'is weir running? `weir run --config FILE` starts it; `--socket PATH` names another socket';
const BE_ANOTHER = 'only root and the user and group that weir runs as may use it: try sudo';

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * One request. The answer's body is JSON, and so is `body`, if there is one.
 * @throws WeirError ERR_CONTROL_UNREACHABLE when nobody answers at the socket, or not properly
 */
export function callAdmin(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const unreachable = (why: string, suggestion = START_IT): void =>
      reject(
        new WeirError(
          'ERR_CONTROL_UNREACHABLE',
          `the control processor does not answer at ${socketPath}: ${why}`,
          suggestion,
        ),
      );
    const call = request(
      {
        socketPath,
        method,
        path,
        timeout: TIMEOUT_MS,
        agent: false,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
      },
      (response) => {
        const chunks: Buffer[] = [];
        // Without a listener an answer that breaks off would leave the caller waiting for ever.
        response.on('error', (error) => unreachable(error.message));
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const answer = parseBody(Buffer.concat(chunks).toString('utf8'));
          if (answer === undefined) unreachable('the answer is not JSON');
          else if (status >= 500) unreachable(`it failed: ${(answer as { error?: string }).error}`);
          else resolve({ status, body: answer });
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) =>
      unreachable(error.message, error.code === 'EACCES' ? BE_ANOTHER : START_IT),
    );
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
