// Takes the module of an application into this process. Every revision of it is a module of its own, and so
// are the modules that it imports by relative paths: Node keeps what it has once imported under its
// address, so that each revision gives all of them addresses that were never used.
// Invariant: whatever a module does while it is imported or set up, this ends, by its result or an error; but
// for a loop that never ends, which is the supervisor's to find.

import { register } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Application } from '../apps/contract.ts';
import type { ApplicationPlan } from '../base/application-plan.ts';

/** Node runs this beside us, in a thread of its own: it has no access to anything here. */
const FRESH_IMPORTS = `export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const marks = /[?&](application=[^&]+&revision=\\d+)$/.exec(context.parentURL ?? '');
  if (marks === null || !/^\\.\\.?\\//.test(specifier) || !found.url.startsWith('file:')) return found;
  return { ...found, url: found.url + (found.url.includes('?') ? '&' : '?') + marks[1] };
}`;
let hasFreshImports = false;
const LOOK_MS = 10;
/** In place of an error: there are other plans by now. */
export const OBSOLETE = Symbol('obsolete');

/** A module's default export, or what it exports by name. @throws Error, or whatever the module throws */
export async function importApplication(plan: ApplicationPlan): Promise<Application> {
  if (plan.importsFiles && !hasFreshImports) {
    hasFreshImports = true;
    register(`data:text/javascript,${encodeURIComponent(FRESH_IMPORTS)}`);
  }
  const url = pathToFileURL(plan.module);
  url.searchParams.set('application', plan.name);
  url.searchParams.set('revision', `${plan.revision}`);
  const module = (await import(url.href)) as { readonly default?: unknown };
  const application = (module.default ?? module) as Partial<Application>;
  if (typeof application.onPacket !== 'function') {
    throw new Error(`${plan.module} exports no function onPacket`);
  }
  if (application.match === undefined && plan.match.length === 0) {
    throw new Error(`${plan.module} exports no match, and the configuration has none`);
  }
  return application as Application;
}

/**
 * What `work` comes to.
 * @throws Error when it has not come to anything after `limitMs`; OBSOLETE as soon as nobody wants it
 */
export async function inTime<Result>(
  work: Promise<Result>,
  limitMs: number,
  isObsolete: () => boolean,
): Promise<Result> {
  const until = performance.now() + limitMs;
  let timer: NodeJS.Timeout | undefined;
  const given = new Promise<never>((_, reject) => {
    const look = () => {
      if (isObsolete()) reject(OBSOLETE);
      if (performance.now() < until) return;
      const why = 'what it waits for in its module or in setup has not come';
      reject(new Error(`not ready after ${limitMs / 1000} s: ${why}`));
    };
    timer = setInterval(look, LOOK_MS);
  });
  try {
    return await Promise.race([work, given]);
  } finally {
    clearInterval(timer);
  }
}
