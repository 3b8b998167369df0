// Health check by gRPC: grpc.health.v1.Health/Check on a connection of its own, HTTP/2 without TLS; the
// answer must be SERVING. An unknown service is answered NOT_FOUND, which fails like NOT_SERVING.
// github.com/grpc/grpc/blob/master/doc/health-checking.md.
// Limits: message 4 KiB, 64 header fields, no pushed streams.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2';
import { isIP } from 'node:net';
import type { HealthTarget } from '../health-state.ts';
import { codeOf, duration, errorText, plain } from '../words.ts';
import { decodeCheckResponse, encodeCheckRequest } from './grpc-message.ts';
import { failed, failedBy, type Probe, type ProbeResult, passed } from './probe.ts';

const MAX_MESSAGE_BYTES = 4_096;
const MAX_HEADER_FIELDS = 64;
const METHOD = '/grpc.health.v1.Health/Check';

/** Status codes of gRPC that a server without health service gives, by number. */
const STATUS_NAMES: Readonly<Record<string, string>> = {
  '2': 'UNKNOWN',
  '4': 'DEADLINE_EXCEEDED',
  '5': 'NOT_FOUND: it does not know this service',
  '7': 'PERMISSION_DENIED',
  '8': 'RESOURCE_EXHAUSTED',
  '12': 'UNIMPLEMENTED: it has no health service',
  '13': 'INTERNAL',
  '14': 'UNAVAILABLE',
  '16': 'UNAUTHENTICATED',
};

export const probeGrpc: Probe = (target, finish) => {
  const { settings } = target;
  let isOver = false;
  let stage = 'connection';
  const session = openSession(target);
  const end = (result: ProbeResult): void => {
    if (isOver) return;
    isOver = true;
    session.destroy();
    finish(result);
  };
  session.on('connect', () => {
    stage = 'answer, though connected,';
  });
  session.on('error', (error) => end(explain(error)));
  session.on('close', () => end(failed('connection closed without an answer')));
  const stream = session.request({
    ':method': 'POST',
    ':path': METHOD,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'weir-health',
    'grpc-timeout': `${Math.max(1, Math.round(settings.timeoutMs))}m`,
  });
  takeAnswer(stream, end);
  stream.end(encodeCheckRequest(settings.grpcService));
  return {
    expire: () => failed(`no ${stage} within ${duration(settings.timeoutMs)}`),
    cancel() {
      isOver = true;
      session.destroy();
      return undefined;
    },
  };
};

function openSession({ address, port }: HealthTarget): ClientHttp2Session {
  const host = isIP(address) === 6 ? `[${address}]` : address;
  return connect(`http://${host}:${port}`, {
    settings: { enablePush: false },
    maxReservedRemoteStreams: 0,
    maxHeaderListPairs: MAX_HEADER_FIELDS,
    maxSessionMemory: 1,
  });
}

function takeAnswer(stream: ClientHttp2Stream, end: (result: ProbeResult) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  let status: string | undefined;
  let hasAnswered = false;
  const note = (headers: IncomingHttpHeaders): void => {
    if (typeof headers['grpc-status'] === 'string') status = headers['grpc-status'];
  };
  stream.on('response', (headers) => {
    hasAnswered = true;
    note(headers);
    const httpStatus = headers[':status'];
    const type = String(headers['content-type'] ?? '');
    if (httpStatus !== 200) end(failed(`HTTP status ${httpStatus} in place of gRPC`));
    else if (!type.startsWith('application/grpc')) {
      end(failed(plain(`answered '${type}' in place of gRPC`)));
    }
  });
  stream.on('trailers', note);
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > MAX_MESSAGE_BYTES) end(failed('the answer is above 4 KiB'));
    else chunks.push(chunk);
  });
  let isComplete = false;
  stream.on('end', () => {
    isComplete = true;
  });
  // Not at the end of the data: the status comes in the trailers, after it.
  stream.on('close', () => {
    if (!(isComplete && hasAnswered)) end(failed('the request was ended without an answer'));
    else if (status !== undefined && status !== '0') {
      end(failed(plain(`gRPC status ${STATUS_NAMES[status] ?? status}`)));
    } else endWithHealth(status, Buffer.concat(chunks), end);
  });
  stream.on('error', (error) => end(explain(error)));
}

function endWithHealth(
  status: string | undefined,
  message: Buffer,
  end: (result: ProbeResult) => void,
): void {
  const health = status === undefined ? undefined : decodeCheckResponse(message);
  if (health === undefined) end(failed('the answer is not that of a health service'));
  else end(health === 'SERVING' ? passed(health) : failed(`answered ${health}`));
}

function explain(error: Error): ProbeResult {
  if (codeOf(error) === 'ERR_HTTP2_STREAM_CANCEL') {
    // The session ended first; the cause says why.
    const { cause } = error as { cause?: unknown };
    if (cause instanceof Error) return explain(cause);
    return failed('connection closed without an answer');
  }
  if (codeOf(error).startsWith('ERR_HTTP2')) {
    return failed(`the answer is not HTTP/2: ${errorText(error)}`);
  }
  return failedBy(error);
}
