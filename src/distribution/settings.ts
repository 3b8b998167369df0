// What an operator may set about the distribution of one service (`distribution:` in the
// configuration), and the values in force when he sets nothing. Every safety rule of the master has
// its setting here: how fast it believes a report, how fast and how far a weight may move, and what
// it does with newcomers, silence, errors and a service of which most backends are dead.
//
// Where other balancers have the same rule (the weighted round robin of gRPC and Envoy with ORCA
// reports), the name and meaning are theirs: blackout, expiry, error penalty.

/** How reports become weights. */
export const DISTRIBUTION_ALGORITHMS = [
  'static',
  'even-load',
  'capacity',
  'least-response-time',
] as const;
export type DistributionAlgorithm = (typeof DISTRIBUTION_ALGORITHMS)[number];

export interface DistributionSettings {
  readonly algorithm: DistributionAlgorithm;
  /** 0 < s <= 1: the part of a new report in the smoothed value; 1 does not smooth. */
  readonly smoothing: number;
  /** A change of a weight by less than this part of it is not made. */
  readonly deadBand: number;
  /** > 1: a weight changes at most by this factor per period of the master. */
  readonly largestStep: number;
  /** The lowest weight, as a part of the configured one, beside the mean of the others. */
  readonly floor: number;
  /** The highest weight, as a multiple of the configured one, beside the mean of the others. */
  readonly ceiling: number;
  /** The reports of a backend that appeared or came back are not used for this long. */
  readonly blackoutMs: number;
  /** A report older than this counts no more: back to the configured weight. */
  readonly expiryMs: number;
  /** Errors per request, times this, are added to the utilisation, as ORCA's penalty. */
  readonly errorPenalty: number;
  /** Whether own assignments since the last report raise the estimate of a backend's load. */
  readonly herdGuard: boolean;
  /** How long the weight rises after a return, or after a configured weight was raised; 0: at once. */
  readonly slowStartMs: number;
  /** 0 to 1: when a smaller part of the backends is healthy, all are used. 0: never. */
  readonly panicThreshold: number;
}

export const DEFAULT_DISTRIBUTION: DistributionSettings = {
  algorithm: 'static',
  smoothing: 0.3,
  deadBand: 0.05,
  largestStep: 1.5,
  floor: 0.05,
  ceiling: 4,
  blackoutMs: 10_000,
  expiryMs: 10_000,
  errorPenalty: 1,
  herdGuard: true,
  slowStartMs: 10_000,
  panicThreshold: 0.5,
};
