// Putting routes into force: in pieces, only what is new, and nothing of what does not fit.

import { expect, it } from 'vitest';
import { routingBuffer } from '../memory/double-buffer.ts';
import { plainMainMemory } from '../memory/region.ts';
import { lookupRoute, MAX_NEXT_HOPS, NO_ROUTE } from '../tables/routing-table.ts';
import type { OriginRoute } from './compile-routes.ts';
import { RoutePublication } from './route-publication.ts';

/** Routes to every other address, from 0.0.0.0 on; `gateway` gives each its own. */
function hostRoutes(count: number, gateway = (_: number) => 0): OriginRoute[] {
  const rest = { length: 32, interfaceNumber: 1, origin: 'kernel', metric: 0 } as const;
  return Array.from({ length: count }, (_, i) => ({ ...rest, prefix: i * 2, gateway: gateway(i) }));
}

function made() {
  const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
  const buffer = routingBuffer(memory);
  return {
    publication: new RoutePublication(memory),
    /** Whether there is a way to an address by what is in force. */
    knows: (address: number) => {
      const active = buffer.activeOffset(buffer.generation()) >> 2;
      return lookupRoute(memory.words, active, address) !== NO_ROUTE;
    },
    /** The only processor takes over what was published. */
    enter: () => buffer.enter(0),
  };
}

it('others have their turn while many routes are written, and none is in force before', async () => {
  const { publication, knows } = made();
  let turns = 0;
  const count = (): void => {
    turns += 1;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  const report = await publication.prepare(hostRoutes(50_000));
  clearImmediate(next);
  expect(report.routes).toBe(50_000);
  expect(turns).toBeGreaterThan(10);
  expect(publication.generation).toBe(0);
  expect(publication.inForce).toEqual([]);
  expect(publication.publish()).toBe(true);
  expect(publication.routeCount).toBe(50_000);
  expect([knows(2), knows(3), knows(99_998)]).toEqual([true, false, true]);
});

it('the same routes change nothing, and those that do not fit leave the last ones', async () => {
  const { publication, knows, enter } = made();
  const publish = async (count: number): Promise<boolean> => {
    await publication.prepare(hostRoutes(count));
    const isOther = publication.publish();
    enter();
    return isOther;
  };
  expect(await publish(3)).toBe(true);
  expect(await publish(3)).toBe(false);
  expect(publication.generation).toBe(1);
  const tooMany = hostRoutes(MAX_NEXT_HOPS + 1, (i) => i + 1);
  await expect(publication.prepare(tooMany)).rejects.toMatchObject({ code: 'ERR_TABLE_FULL' });
  expect(publication.generation).toBe(1);
  expect(publication.inForce).toHaveLength(3);
  expect([knows(4), knows(6)]).toEqual([true, false]);
  expect(await publish(4)).toBe(true);
  expect(knows(6)).toBe(true);
});
