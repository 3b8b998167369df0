// The shape of what `GET /v1/applications` answers and `weir apps --json` prints: an interface to the
// outside, so names and units here do not change lightly. Counts run from the day that the application
// got its name in this weir, and survive the restart of any process.

export interface ApplicationView {
  readonly name: string;
  /** 'dns', or the path of a file. */
  readonly module: string;
  /** Raised when it is set up anew. */
  readonly revision: number;
  /** That of the processor where it is worst off. */
  readonly state: 'not loaded' | 'running' | 'broken' | 'failed' | 'hung' | 'crashed';
  /** CPU time that it may take for the packets of one burst, or for one tick. */
  readonly budgetMicroseconds: number;
  /** Failures within ten seconds that switch it off. */
  readonly failureLimit: number;
  readonly frameLimit: number;
  /** Sums over the processors. */
  readonly totals: ApplicationCounts;
  readonly processors: readonly ApplicationOnProcessor[];
}

export interface ApplicationCounts {
  readonly packets: number;
  readonly passed: number;
  readonly dropped: number;
  readonly consumed: number;
  readonly replied: number;
  readonly forwarded: number;
  /** Packets over which it failed. */
  readonly failed: number;
  /** Packets of its own. */
  readonly sent: number;
  readonly ticks: number;
  /** CPU time that it has had. */
  readonly busyMicroseconds: number;
  /** Exceptions, those of ticks included. */
  readonly exceptions: number;
  /** Bursts and ticks that took longer than the budget. */
  readonly overruns: number;
  readonly framesInHand: number;
  /** What it counts itself, by the names that it has given. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface ApplicationOnProcessor extends ApplicationCounts {
  readonly processor: number;
  readonly state: ApplicationView['state'];
  readonly longestMicroseconds: number;
  /** What went wrong last; empty: nothing. */
  readonly lastError: string;
}
