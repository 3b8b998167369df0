// What `weir backends`, `drain`, `undrain`, `weight` and `why` ask of the control socket, and how they find
// the backend that is meant: 'service/backend', or the backend's name alone where only one service has it.
// A refusal of the control processor becomes an error with its code and its advice.

import { userInfo } from 'node:os';
import { WeirError } from '../base/errors.ts';
import type { Problem } from '../control/admin-backends.ts';
import { callAdmin } from '../control/admin-client.ts';
import type { BackendChangeView, BackendsView, BackendView } from '../control/backend-view.ts';
import { nearestWord } from '../control/config/nearest-word.ts';

/** More candidates than this are not listed one by one. */
const LISTED_CANDIDATES = 8;

export interface BackendName {
  readonly service: string;
  readonly backend: string;
}

/** 'service/backend', as operators write it. */
export function nameText({ service, backend }: BackendName): string {
  return `${service}/${backend}`;
}

/** @throws WeirError ERR_CONTROL_UNREACHABLE, and what the control processor refuses with */
async function ask<Answer>(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<Answer> {
  const answer = await callAdmin(socketPath, method, path, body);
  if (answer.status === 200) return answer.body as Answer;
  const { code, error, advice } = (answer.body ?? {}) as Partial<Problem>;
  if (code !== undefined) throw new WeirError(code, error ?? '', advice ?? '');
  throw new WeirError(
    'ERR_CONTROL_UNREACHABLE',
    `${socketPath} answers ${answer.status} to ${method} ${path}`,
    'is it the control socket of this version of weir?',
  );
}

/** All backends, or those of one service. */
export function fetchBackends(socketPath: string, service?: string): Promise<BackendsView> {
  const query = service === undefined ? '' : `?service=${encodeURIComponent(service)}`;
  return ask(socketPath, 'GET', `/v1/backends${query}`);
}

function pathOf({ service, backend }: BackendName): string {
  return `/v1/backends/${encodeURIComponent(service)}/${encodeURIComponent(backend)}`;
}

export function fetchBackend(socketPath: string, name: BackendName): Promise<BackendView> {
  return ask(socketPath, 'GET', pathOf(name));
}

/** Changes something of a backend, in the name of whoever runs this. */
export function changeBackend(
  socketPath: string,
  name: BackendName,
  action: 'drain' | 'undrain' | 'weight',
  body: object = {},
): Promise<BackendChangeView> {
  const path = `${pathOf(name)}/${action}`;
  return ask(socketPath, 'POST', path, { ...body, by: operatorName() });
}

/** The user who runs this, and behind sudo the one before it. */
export function operatorName(environment = process.env): string {
  let user: string;
  try {
    user = userInfo().username;
  } catch {
    // A user id without an entry in passwd, as in many containers.
    user = `user ${process.getuid?.() ?? ''}`.trim();
  }
  const before = environment.SUDO_USER;
  const name = before === undefined || before === user ? user : `${before} as ${user}`;
  return name.replace(/\p{C}/gu, '·').slice(0, 64);
}

/**
 * The backend that is meant. One that is not configured any more can be named if it has a change.
 * @throws WeirError ERR_BACKEND_UNKNOWN with what was probably meant, or with all that could be
 */
export function findBackend(written: string, { backends, changes }: BackendsView): BackendName {
  const names = new Map<string, BackendName>();
  for (const { service, name } of backends) {
    names.set(`${service}/${name}`, { service, backend: name });
  }
  for (const { service, backend } of changes) {
    names.set(`${service}/${backend}`, { service, backend });
  }
  const exact = names.get(written);
  if (exact !== undefined) return exact;
  const all = [...names.values()];
  const bare = all.filter(({ backend }) => backend === written);
  if (bare.length === 1) return bare[0];
  if (bare.length > 1) {
    const error = `${bare.length} services have a backend ${written}`;
    throw new WeirError('ERR_BACKEND_UNKNOWN', error, `write ${listed(bare.map(nameText))}`);
  }
  throw new WeirError('ERR_BACKEND_UNKNOWN', `there is no backend ${written}`, meant(written, all));
}

function meant(written: string, all: readonly BackendName[]): string {
  if (all.length === 0) return 'the running configuration has no backends';
  const nearest =
    nearestWord(written, all.map(nameText)) ??
    nearestWord(
      written,
      all.map(({ backend }) => backend),
    );
  return nearest === undefined
    ? `there are ${listed(all.map(nameText), 'and')}`
    : `did you mean ${nearest}?`;
}

function listed(names: readonly string[], word = 'or'): string {
  if (names.length > LISTED_CANDIDATES) {
    const more = names.length - LISTED_CANDIDATES;
    return `${names.slice(0, LISTED_CANDIDATES).join(', ')} ${word} ${more} more (\`weir backends\`)`;
  }
  return names.length === 1
    ? names[0]
    : `${names.slice(0, -1).join(', ')} ${word} ${names[names.length - 1]}`;
}
