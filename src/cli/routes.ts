// `weir routes`: the routes in force, each with where it comes from, and how the following of the kernel's
// routes is. Over the control socket; with --json the answer is printed as it came. The page is pure:
// routes-page.ts.

import { callAdmin } from '../control/admin-client.ts';
import type { RoutesView } from '../control/route-view.ts';
import { renderRoutes } from './routes-page.ts';
import { paint, showsColors } from './status-terminal.ts';

/** @returns the exit code: 0 */
export async function routes(socketPath: string, asJson: boolean): Promise<number> {
  const { body } = await callAdmin(socketPath, 'GET', '/v1/routes');
  const view = body as RoutesView;
  const colors = paint(showsColors(process.stdout));
  process.stdout.write(
    asJson ? `${JSON.stringify(view, undefined, 2)}\n` : renderRoutes(view, colors),
  );
  return 0;
}
