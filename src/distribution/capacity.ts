// capacity: as many connections as a server can bear. The weight wanted is what the server itself
// says it does per second, divided by its utilisation: requests per second at full load, as gRPC and
// Envoy derive weights from ORCA reports ("client-side weighted round robin", gRFC A58). Errors are
// in the utilisation already (load-figures.ts).
//
// The herd guard has nothing to correct: rate and utilisation are of the same report, and own
// assignments since then raise both in the same proportion.

import { IDLE_UTILIZATION } from './even-load.ts';

/**
 * @param rate requests (or connections) per second, smoothed
 * @param utilization smoothed, 0 or more
 * @returns what the backend should get, in units that are the same for all; above 0
 */
export function capacityWish(rate: number, utilization: number): number {
  return rate / (utilization + IDLE_UTILIZATION);
}
