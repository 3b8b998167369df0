// The page of `weir routes`: a line for each route, those that another one wins over dimmed, then the
// state of the routing daemon, and why routes of the kernel are left out. Pure.
// There may be a hundred thousand routes: nothing here is spread into arguments.

import { LEFT_OUT, type LeftOut } from '../control/kernel-resolution.ts';
import type { KernelView, RoutesView, RouteView } from '../control/route-view.ts';
import { count, type Paint, pad, percent, plural, printable } from './status-terminal.ts';

/** The whole page, ended by a newline. */
export function renderRoutes(view: RoutesView, colors: Paint): string {
  const rows = view.routes.map((route) => ({ route, cells: cellsOf(route) }));
  const widths = [0, 0];
  for (const { cells } of rows) {
    for (const i of widths.keys()) widths[i] = Math.max(widths[i], cells[i].length);
  }
  const lines = rows.map(({ route, cells: [to, way, origin] }) => {
    const line = `${pad(to, widths[0])}  ${pad(way, widths[1])}  ${origin}`;
    return route.inForce ? line : colors.dim(`${line}  not in force`);
  });
  const shown = view.routes.length;
  const use = `${plural(view.count, 'route')}, ${percent(view.tableUse)} of the table`;
  if (shown > 0 && shown < view.count) lines.push('', `the first ${count(shown)} are shown`);
  lines.push('', colors.bold(use) + (shown === 0 ? '' : `, generation ${view.generation}`));
  lines.push(...kernelLines(view.kernel, colors));
  return `${lines.join('\n')}\n`;
}

function cellsOf(route: RouteView): [string, string, string] {
  const { origin, protocol, metric } = route;
  const source = protocol === null ? origin : `${origin} (${printable(protocol)})`;
  return [route.to, wayText(route), metric ? `${source}, metric ${metric}` : source];
}

function wayText({ refuses, ways }: RouteView): string {
  if (refuses !== null) return refuses;
  const texts = ways.map(({ interface: name, gateway, weight }) => {
    const way = `${gateway === null ? '' : `via ${gateway} `}on ${printable(name)}`;
    return ways.length === 1 ? way : `${way} weight ${weight}`;
  });
  return texts.join(', ');
}

function kernelLines(kernel: KernelView | null, colors: Paint): string[] {
  if (kernel === null) return ["the kernel's routes are not followed (routing.follow)"];
  const { table, routes, taken, dumps, events, overflows, error, ipv6Routes } = kernel;
  const lines = [
    `kernel: table ${table}, ${count(taken)} of ${plural(routes, 'route')} taken; ` +
      `${plural(events, 'event')}, ${plural(dumps, 'dump')}, ${plural(overflows, 'overflow')}`,
  ];
  if (error !== null) lines.push(colors.red(`not in force: ${printable(error)}`));
  for (const [why, number] of Object.entries(kernel.leftOut)) {
    lines.push(`  left out: ${count(number)}: ${LEFT_OUT[why as LeftOut]}`);
  }
  if (ipv6Routes > 0)
    lines.push(`  ${plural(ipv6Routes, 'route')} of IPv6, which is not forwarded`);
  return lines;
}
