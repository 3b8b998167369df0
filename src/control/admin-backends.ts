// The control socket's routes for backends: how they are, and what operators change at run time.
//   GET  /v1/backends                            all, and the changes; ?service=NAME: of one service
//   GET  /v1/backends/SERVICE/BACKEND            one
//   POST /v1/backends/SERVICE/BACKEND/drain      { deadlineSeconds?, atDeadline?, by? }
//   POST /v1/backends/SERVICE/BACKEND/undrain    { by? }
//   POST /v1/backends/SERVICE/BACKEND/weight     { weight: number | null, by? }
// Whatever is refused is answered with { code, error, advice }: 404 unknown backend, 409 it does not go
// together with how things are, 413 body too large, 422 body not as it must be.
// A change is answered when the next flip has been published.

import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { type ErrorCode, WeirError } from '../base/errors.ts';
import {
  type BackendChangeView,
  type BackendView,
  DRAIN_ENDS,
  type RuntimeChange,
} from './backend-view.ts';
import { backendKey } from './compile-configuration.ts';
import { nearestWord } from './config/nearest-word.ts';
import {
  type DrainRequest,
  MAX_OPERATOR_NAME,
  MAX_WEIGHT,
  type Operation,
} from './operator-changes.ts';

/** What the control processor does for these routes. `backend` is a key, 'service/backend'. */
export interface BackendActions {
  /** @param service of this service alone; none when there is none of that name */
  backends(service?: string): readonly BackendView[];
  /** Names of all, 'service/backend'. */
  keys(): readonly string[];
  /** Whether some other backend of the service could take a new connection. */
  hasOther(service: string, name: string): boolean;
  backend(service: string, name: string): BackendView | undefined;
  changes(): readonly RuntimeChange[];
  /** These resolve when the change is published. @throws WeirError when it cannot be */
  drain(backend: string, request: DrainRequest, operation: Operation): Promise<void>;
  undrain(backend: string, operation: Operation): Promise<void>;
  /** null: back to the configured weight. */
  setWeight(backend: string, weight: number | null, operation: Operation): Promise<void>;
}

/** What is answered to a request that is refused. */
export interface Problem {
  readonly code: ErrorCode;
  readonly error: string;
  readonly advice: string;
}

/** Largest body of a request. */
export const MAX_BODY_SIZE = 64 * 1024;
/** Longest deadline of a drain: thirty days. */
export const MAX_DEADLINE_SECONDS = 30 * 86_400;

const by = z
  .string()
  .max(MAX_OPERATOR_NAME)
  .regex(/^\P{C}*$/u, { error: 'may have no control characters' })
  .default('somebody');

const DRAIN_BODY = z
  .strictObject({
    deadlineSeconds: z.number().min(0).max(MAX_DEADLINE_SECONDS).nullish(),
    atDeadline: z.enum(DRAIN_ENDS).optional(),
    by,
  })
  .refine(
    ({ deadlineSeconds, atDeadline }) =>
      atDeadline === undefined || typeof deadlineSeconds === 'number',
    {
      path: ['atDeadline'],
      error: 'says what happens at the deadline, and there is none: give deadlineSeconds too',
    },
  );
const UNDRAIN_BODY = z.strictObject({ by });
const WEIGHT_BODY = z.strictObject({ weight: z.int().min(0).max(MAX_WEIGHT).nullable(), by });

class Refusal extends Error {
  readonly status: 404 | 409 | 422;
  readonly problem: Problem;

  constructor(status: 404 | 409 | 422, error: string, advice: string) {
    super(error);
    this.status = status;
    const code = status === 404 ? 'ERR_BACKEND_UNKNOWN' : 'ERR_REFUSED';
    this.problem = { code, error, advice };
  }
}

/** The routes, to be mounted at '/'. */
export function backendRoutes(actions: BackendActions): Hono {
  const app = new Hono();
  const tooLarge: Problem = {
    code: 'ERR_REFUSED',
    error: `the body is larger than ${MAX_BODY_SIZE / 1024} KiB`,
    advice: 'see docs/reference/control-socket.md for what belongs into it',
  };
  app.use(
    '/v1/backends/*',
    bodyLimit({ maxSize: MAX_BODY_SIZE, onError: (context) => context.json(tooLarge, 413) }),
  );
  app.get('/v1/backends', (context) =>
    context.json(listing(actions, context.req.query('service'))),
  );
  app.get('/v1/backends/:service/:backend', (context) =>
    context.json(known(actions, names(context))),
  );
  app.post('/v1/backends/:service/:backend/drain', async (context) => {
    const body = await readBody(context, DRAIN_BODY);
    return context.json(await drain(actions, names(context), body));
  });
  app.post('/v1/backends/:service/:backend/undrain', async (context) => {
    const body = await readBody(context, UNDRAIN_BODY);
    return context.json(await undrain(actions, names(context), body.by));
  });
  app.post('/v1/backends/:service/:backend/weight', async (context) => {
    const body = await readBody(context, WEIGHT_BODY);
    return context.json(await setWeight(actions, names(context), body.weight, body.by));
  });
  app.onError((error, context) => {
    if (error instanceof Refusal) return context.json(error.problem, error.status);
    if (!(error instanceof WeirError)) throw error;
    // What the tables cannot take now they may take later: nothing is wrong with the request.
    const { code, advice } = error;
    const message = error.message.split('\n  → ')[0];
    return context.json({ code, error: message, advice } satisfies Problem, 409);
  });
  return app;
}

interface Names {
  readonly service: string;
  readonly backend: string;
}

function names(context: Context): Names {
  return {
    service: context.req.param('service') ?? '',
    backend: context.req.param('backend') ?? '',
  };
}

function operation(by: string): Operation {
  return { by, atMs: Date.now() };
}

/** @throws Refusal 422 */
async function readBody<T extends z.ZodType>(context: Context, schema: T): Promise<z.output<T>> {
  const text = await context.req.text();
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw new Refusal(422, `the body is not JSON: ${(error as Error).message}`, 'send an object');
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  const advice = 'see docs/reference/control-socket.md for what belongs into the body';
  throw new Refusal(422, faults.join('; '), advice);
}

function listing(actions: BackendActions, service: string | undefined) {
  const backends = actions.backends(service);
  const changes = actions.changes();
  if (service === undefined) return { backends, changes };
  if (backends.length === 0) {
    const services = [...new Set(actions.keys().map((key) => key.split('/')[0]))];
    throw new Refusal(404, `there is no service ${service}`, didYouMean(service, services));
  }
  return { backends, changes: changes.filter((each) => each.service === service) };
}

/** @throws Refusal 404 */
function known(actions: BackendActions, { service, backend }: Names): BackendView {
  const found = actions.backend(service, backend);
  if (found !== undefined) return found;
  const key = backendKey(service, backend);
  throw new Refusal(404, `there is no backend ${key}`, didYouMean(key, actions.keys()));
}

function didYouMean(word: string, candidates: readonly string[]): string {
  const nearest = nearestWord(word, candidates);
  return nearest === undefined ? '`weir backends` lists what there is' : `did you mean ${nearest}?`;
}

async function drain(
  actions: BackendActions,
  names: Names,
  body: z.output<typeof DRAIN_BODY>,
): Promise<BackendChangeView> {
  const before = known(actions, names);
  const warnings = [...lastOne(actions, before)];
  const { deadlineSeconds, atDeadline } = body;
  let request: DrainRequest = {
    deadlineMs: typeof deadlineSeconds === 'number' ? deadlineSeconds * 1000 : null,
    atDeadline: atDeadline ?? 'keep',
  };
  if (before.drain !== null && deadlineSeconds === undefined) {
    // Nothing was said of it: who only wants to look on must not take the deadline away.
    const { deadlineInMs } = before.drain;
    request = { deadlineMs: deadlineInMs, atDeadline: before.drain.atDeadline };
    const rest = deadlineInMs === null ? '' : ': its deadline stays';
    warnings.push(`it was drained already${rest}`);
  } else if (before.drain !== null) {
    warnings.push('it was drained already: the new deadline counts');
  }
  const key = backendKey(names.service, names.backend);
  await actions.drain(key, request, operation(body.by));
  return { backend: known(actions, names), warnings };
}

async function undrain(
  actions: BackendActions,
  names: Names,
  by: string,
): Promise<BackendChangeView> {
  const key = backendKey(names.service, names.backend);
  if (hasChange(actions, names, 'drain')) {
    await actions.undrain(key, operation(by));
    const backend = actions.backend(names.service, names.backend) ?? null;
    return { backend, warnings: backend === null ? [notConfigured(key)] : [] };
  }
  const { state, report } = known(actions, names);
  const isOwnWish = state === 'maintenance' || state === 'draining' || state === 'drained';
  const error = `${key} is not drained by an operator`;
  if (!isOwnWish) throw new Refusal(409, error, 'there is nothing to take back');
  const who = report === null ? 'the server itself' : `its own report (${report.identity})`;
  throw new Refusal(409, `${error}: ${who} asks for it`, 'take it back on the server');
}

async function setWeight(
  actions: BackendActions,
  names: Names,
  weight: number | null,
  by: string,
): Promise<BackendChangeView> {
  const key = backendKey(names.service, names.backend);
  const isSet = hasChange(actions, names, 'weight');
  const before = actions.backend(names.service, names.backend);
  // A change that waits for the return of its backend can be taken back, but none can be made.
  if (before === undefined && !(isSet && weight === null)) known(actions, names);
  const warnings: string[] = [];
  if (before !== undefined && weight === 0) warnings.push(...lastOne(actions, before));
  if (weight === null && !isSet) warnings.push('it had no weight of an operator');
  await actions.setWeight(key, weight, operation(by));
  const backend = actions.backend(names.service, names.backend) ?? null;
  if (backend === null) warnings.push(notConfigured(key));
  else if (backend.drain !== null) warnings.push('it is drained: the weight counts after undrain');
  return { backend, warnings };
}

function notConfigured(key: string): string {
  return `${key} is not in the running configuration: only the change is gone`;
}

function hasChange(actions: BackendActions, names: Names, kind: RuntimeChange['kind']): boolean {
  return actions
    .changes()
    .some(
      (each) =>
        each.kind === kind && each.service === names.service && each.backend === names.backend,
    );
}

/** A warning where a service is left without a backend that could take new connections. */
function lastOne(actions: BackendActions, leaving: BackendView): string[] {
  if (actions.hasOther(leaving.service, leaving.name)) return [];
  return [`no other backend of ${leaving.service} can take new connections: they will be refused`];
}
