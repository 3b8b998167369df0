// What a switching processor does when a turn found nothing to do. `busy`: at once another turn, for a
// CPU of its own. `adaptive`, where CPUs are shared: some more turns, then give up the CPU at each,
// then sleep in poll(2) on its sockets until traffic comes or somebody hands it a frame.

/** Empty turns before the CPU is given up, and before going to sleep. */
const SPIN_TURNS = 8;
const YIELD_TURNS = 24;

export const IDLE_SPIN = 0;
export const IDLE_YIELD = 1;
export const IDLE_SLEEP = 2;

export class IdleStrategy {
  private readonly isBusy: boolean;
  private emptyTurns = 0;

  constructor(kind: 'busy' | 'adaptive') {
    this.isBusy = kind === 'busy';
  }

  /** What to do after a turn that did `work` things: one of IDLE_*. @hot */
  after(work: number): number {
    if (work > 0 || this.isBusy) {
      this.emptyTurns = 0;
      return IDLE_SPIN;
    }
    this.emptyTurns = (this.emptyTurns + 1) | 0;
    if (this.emptyTurns <= SPIN_TURNS) return IDLE_SPIN;
    if (this.emptyTurns <= YIELD_TURNS) return IDLE_YIELD;
    return IDLE_SLEEP;
  }

  /** Slept: the next turns are given a chance again. @hot */
  woke(): void {
    this.emptyTurns = 0;
  }
}
