// even-load: every server as busy as the others. The weight wanted is what a backend carries now,
// divided by the estimate of its utilisation now, which is what it carried at its reports, divided
// by what they said: connections per utilisation, measured on this server, for this traffic.
//
// Why it converges: at equal utilisation every weight is in proportion to what is carried, so the
// rule leaves it. Were all load our own, one step would be exact, whatever the delay of the reports
// was, because both figures are of the same moment. Load that is not ours (another program on the
// server) makes each step smaller than needed, never larger: it settles from one side.
//
// Without the herd guard the utilisation is taken as if it were of this moment.

/** Added to utilisations: between 1 % and 3 % there is no difference worth moving anything for. */
export const IDLE_UTILIZATION = 0.05;

/**
 * @param utilization smoothed, 0 or more
 * @param carriedThen what the backend carried when it reported that
 * @returns what it should get, in units that are the same for all backends of a service; above 0
 */
export function evenLoadWish(utilization: number, carriedThen: number): number {
  return carriedThen / (utilization + IDLE_UTILIZATION);
}
