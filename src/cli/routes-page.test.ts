import { describe, expect, it } from 'vitest';
import type { RoutesView, RouteView } from '../control/route-view.ts';
import { renderRoutes } from './routes-page.ts';
import { paint } from './status-terminal.ts';

const ROUTE: RouteView = {
  to: '10.1.0.0/24',
  ways: [{ interface: 'ext0', gateway: null, weight: 1 }],
  refuses: null,
  origin: 'interface',
  protocol: null,
  metric: null,
  inForce: true,
};
const fromKernel = { ...ROUTE, origin: 'kernel', protocol: 'bird', metric: 32 } as const;
const VIEW: RoutesView = {
  generation: 4,
  count: 3,
  tableUse: 0.125,
  kernel: {
    table: 254,
    routes: 5,
    taken: 2,
    leftOut: { 'on-link': 2, 'other-network': 1 },
    ipv6Routes: 7,
    ipv6Examples: [],
    links: 3,
    addresses: 4,
    neighbors: 5,
    dumps: 1,
    lastDumpMs: 12,
    events: 1234,
    overflows: 0,
    publications: 2,
    error: null,
  },
  routes: [
    ROUTE,
    { ...fromKernel, to: '192.0.2.0/24', ways: [], refuses: 'prohibit' },
    {
      ...fromKernel,
      to: 'default',
      inForce: false,
      ways: [
        { interface: 'ext0', gateway: '10.1.0.2', weight: 3 },
        { interface: 'int0', gateway: '10.2.0.2', weight: 1 },
      ],
    },
  ],
};

describe('the page of weir routes', () => {
  it('has a line for each route, and how the kernel is followed', () => {
    expect(renderRoutes(VIEW, paint(false)).replace(/ +\n/g, '\n')).toBe(
      [
        '10.1.0.0/24   on ext0                                                       interface',
        '192.0.2.0/24  prohibit                                                      kernel (bird), metric 32',
        'default       via 10.1.0.2 on ext0 weight 3, via 10.2.0.2 on int0 weight 1  kernel (bird), metric 32  not in force',
        '',
        '3 routes, 12.5 % of the table, generation 4',
        'kernel: table 254, 2 of 5 routes taken; 1,234 events, 1 dump, 0 overflows',
        '  left out: 2: has no gateway: a network of the host itself',
        '  left out: 1: its gateway is on no network of our interfaces',
        '  7 routes of IPv6, which is not forwarded',
        '',
      ].join('\n'),
    );
  });

  it('says why what the kernel has is not in force, and when it is not followed', () => {
    const kernel = { ...VIEW.kernel!, error: 'too many' };
    expect(renderRoutes({ ...VIEW, kernel }, paint(false))).toContain('not in force: too many');
    expect(renderRoutes({ ...VIEW, kernel: null }, paint(false))).toContain('not followed');
  });

  it('says when there are more than it shows', () => {
    const page = renderRoutes({ ...VIEW, count: 1_000_000 }, paint(false));
    expect(page).toContain('the first 3 are shown\n');
    expect(renderRoutes(VIEW, paint(false))).not.toContain('are shown');
  });

  it('shows a hundred thousand', () => {
    const routes = Array.from({ length: 100_000 }, () => ROUTE);
    const lines = renderRoutes({ ...VIEW, routes }, paint(false)).split('\n');
    expect(lines.length).toBeGreaterThan(100_000);
  });
});
