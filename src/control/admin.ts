// The control socket: HTTP with JSON over a unix socket (B6). Everything that a person or a program
// asks of a running weir passes here; nothing here is needed for switching to go on.
//   GET  /v1/status   all there is to know, see status.ts
//   GET  /healthz     200 while this process answers
//   GET  /v1/routes   the routes in force, see route-view.ts; ?limit=N, 100,000 if it is not said
//   GET  /v1/load     load sources: what they said, what was rejected and why
//   POST /v1/reload   reads the configuration file again; 409 with the faults when it has any
//   /v1/backends …    admin-backends.ts; /v1/applications … admin-applications.ts

import { lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { dirname } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { SystemError } from '../base/errors.ts';
import { type ApplicationActions, applicationRoutes } from './admin-applications.ts';
import { type BackendActions, backendRoutes } from './admin-backends.ts';
import type { LoadStatistics } from './load-sources.ts';
import type { ReloadResult } from './reload.ts';
import type { RoutesView } from './route-view.ts';
import type { Status } from './status.ts';

export interface AdminActions {
  status(): Status;
  reload(): Promise<ReloadResult>;
  readonly backends?: BackendActions;
  readonly applications?: ApplicationActions;
  load?(): LoadStatistics;
  routes?(limit: number | undefined): RoutesView;
}

/** Group may use the socket, others may not. */
const SOCKET_UMASK = 0o117;

/** A page of all of a million would keep the control processor busy for seconds. */
const ROUTES_SHOWN = 100_000;

/**
 * Serves the control socket; resolves when it listens.
 * @throws SystemError when there can be no socket at that path
 */
export async function serveAdmin(socketPath: string, actions: AdminActions): Promise<Server> {
  const app = new Hono();
  app.get('/healthz', (context) => context.json({ ok: true }));
  app.get('/v1/status', (context) => context.json(actions.status()));
  app.get('/v1/load', (context) => context.json(actions.load?.() ?? {}));
  app.get('/v1/routes', (context) => {
    const limit = Number(context.req.query('limit') ?? Number.NaN);
    return context.json(actions.routes?.(Number.isNaN(limit) ? ROUTES_SHOWN : limit) ?? {});
  });
  app.post('/v1/reload', async (context) => {
    const result = await actions.reload();
    return context.json(result, result.applied ? 200 : 409);
  });
  if (actions.applications !== undefined) app.route('/', applicationRoutes(actions.applications));
  if (actions.backends !== undefined) app.route('/', backendRoutes(actions.backends));
  app.notFound((context) => context.json({ error: `no such path: ${context.req.path}` }, 404));
  app.onError((error, context) => context.json({ error: error.message }, 500));
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.maxConnections = 256;
  try {
    removeLeftSocket(socketPath);
    await listen(server, socketPath);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const advice = 'name another path with --socket, in a folder that weir may write to';
    throw new SystemError('ERR_SYSTEM_CALL', 'listen', code, socketPath, advice);
  }
  return server;
}

/** Takes away what a control processor left that was killed; never what is no socket. */
function removeLeftSocket(socketPath: string): void {
  mkdirSync(dirname(socketPath), { recursive: true });
  if (lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket()) unlinkSync(socketPath);
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // A unix socket is made within `listen`, so nobody can use it before its mode is right.
    const umask = process.umask(SOCKET_UMASK);
    try {
      server.listen(socketPath, resolve);
    } finally {
      process.umask(umask);
    }
  });
}
