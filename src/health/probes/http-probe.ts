// Health check by HTTP or HTTPS: one request on a connection of its own; the status must be in the
// wanted ranges and the body, if it is asked about, must contain a text or match a regular expression.
// Redirects are not followed: 301 is an answer like any other. RFC 9110, RFC 9112.
// Limits: header 16 KiB, body 64 KiB (what comes after is not read). The certificate is only looked at
// when `verify` says so: most servers behind a balancer bear one for another name, or their own.

import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { HealthTarget } from '../health-state.ts';
import { bodyFault, isWantedStatus } from '../matchers.ts';
import { codeOf, duration, errorText } from '../words.ts';
import { failed, failedBy, type Probe, type ProbeResult, passed } from './probe.ts';
import { abandon } from './tcp-probe.ts';

export const MAX_BODY_BYTES = 65_536;
const MAX_HEADER_BYTES = 16_384;

export const probeHttp: Probe = (target, finish) => {
  const { settings } = target;
  let stage = 'connection';
  let isOver = false;
  let socket: Socket | undefined;
  const request = makeRequest(target);
  const end = (result: ProbeResult): void => {
    if (isOver) return;
    isOver = true;
    request.destroy();
    finish(result);
  };
  request.on('socket', (opened) => {
    socket = opened;
    opened.on('connect', () => {
      stage = 'answer, though connected,';
    });
  });
  request.on('response', (response) => {
    stage = 'end of the answer';
    takeResponse(response, target, end);
  });
  // An answer of 101, or to CONNECT, comes as its own event; neither was asked for.
  request.on('upgrade', (response, opened) => {
    opened.destroy();
    end(failed(`status ${response.statusCode}: the server changed the protocol`));
  });
  request.on('error', (error) => end(explain(error)));
  request.on('close', () => {
    const hasBegun = stage === 'end of the answer';
    end(failed(hasBegun ? 'answer broke off' : 'connection closed without an answer'));
  });
  request.end();
  return {
    expire: () => failed(`no ${stage} within ${duration(settings.timeoutMs)}`),
    cancel() {
      isOver = true;
      if (socket !== undefined) abandon(socket);
      request.destroy();
      return undefined;
    },
  };
};

function makeRequest({ address, port, settings }: HealthTarget): ClientRequest {
  const host = isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
  const common = {
    host: address,
    port,
    method: settings.method,
    path: settings.path,
    agent: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    headers: {
      host: settings.host ?? host,
      'user-agent': 'weir-health',
      accept: '*/*',
      'accept-encoding': 'identity',
      connection: 'close',
    },
  } as const;
  if (settings.type === 'http') return httpRequest(common);
  return httpsRequest({
    ...common,
    // An empty name sends none: SNI bears host names, not addresses (RFC 6066).
    servername: settings.serverName ?? nameOf(settings.host),
    rejectUnauthorized: settings.verify,
  });
}

/** The host name in a Host header, '' when there is none in it. */
function nameOf(host: string | undefined): string {
  const name = (host ?? '').replace(/:\d+$/, '');
  return name.startsWith('[') || isIP(name) !== 0 ? '' : name;
}

function takeResponse(
  response: IncomingMessage,
  { settings }: HealthTarget,
  end: (result: ProbeResult) => void,
): void {
  const status = response.statusCode ?? 0;
  // Without this an answer that breaks off would raise an error that nobody hears.
  response.on('error', (error) => end(failed(`answer broke off: ${errorText(error)}`)));
  if (!isWantedStatus(status, settings.status)) {
    end(failed(`status ${status}, wanted ${settings.status}`));
    return;
  }
  const wanted = settings.body;
  if (wanted === undefined) {
    end(passed(`status ${status}`));
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  const judge = (): void => {
    const body = Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES);
    const fault = bodyFault(body.toString('utf8'), wanted);
    const subject = size > MAX_BODY_BYTES ? 'the first 64 KiB of the body' : 'the body';
    end(
      fault === undefined ? passed(`status ${status}, body fits`) : failed(`${subject} ${fault}`),
    );
  };
  response.on('data', (chunk: Buffer) => {
    if (size > MAX_BODY_BYTES) return;
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BODY_BYTES) judge();
  });
  response.on('end', judge);
}

function explain(error: Error): ProbeResult {
  const code = codeOf(error);
  if (code === 'HPE_HEADER_OVERFLOW') return failed("the answer's header is above 16 KiB");
  if (code.startsWith('HPE_')) return failed(`the answer is not HTTP: ${errorText(error)}`);
  if (code === 'ECONNRESET' && !('syscall' in error)) {
    return failed('connection closed without an answer');
  }
  if (/CERT|ISSUER|SELF_SIGNED|ALTNAME/.test(code)) {
    return failed(`certificate not trusted: ${errorText(error)}`);
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) {
    return failed(`TLS failed: ${errorText(error)}`);
  }
  return failedBy(error);
}
