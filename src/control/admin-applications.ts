// The control socket's routes for network applications:
//   GET  /v1/applications                 what runs, with counts, budgets, failures and states
//   POST /v1/applications/NAME/restart    has one begin again, also when it was switched off
// What is refused is answered with { code, error, advice }, as by admin-backends.ts.

import { Hono } from 'hono';
import type { Problem } from './admin-backends.ts';
import type { ApplicationView } from './application-view.ts';
import { nearestWord } from './config/nearest-word.ts';

/** What the control processor does for these routes. */
export interface ApplicationActions {
  applications(): readonly ApplicationView[];
  /** @returns false: there is none of this name */
  restartApplication(name: string): Promise<boolean>;
}

/** The routes, to be mounted at '/'. */
export function applicationRoutes(actions: ApplicationActions): Hono {
  const app = new Hono();
  app.get('/v1/applications', (context) => context.json({ applications: actions.applications() }));
  app.post('/v1/applications/:name/restart', async (context) => {
    const name = context.req.param('name');
    if (await actions.restartApplication(name)) return context.json({ restarted: name });
    const names = actions.applications().map((each) => each.name);
    const nearest = nearestWord(name, names);
    const advice =
      nearest === undefined ? '`weir apps` lists what there is' : `did you mean ${nearest}?`;
    const error = `there is no application ${name}`;
    return context.json({ code: 'ERR_APPLICATION_UNKNOWN', error, advice } satisfies Problem, 404);
  });
  return app;
}
