// What a switching processor does when a turn found nothing to do. `busy`: at once another turn, for a
// CPU of its own. `adaptive`, where CPUs are shared or power counts: one more look, then it sleeps in
// poll(2) on its sockets until traffic comes or somebody hands it a frame. To look again and again for
// the few microseconds that going to sleep and waking cost would not be faster: a packet that comes
// meanwhile is waited for by the kernel's half of receiving as well, which then has no CPU.
// With 3,000 TCP connections a second, all on one core: 55-63 % of it with 24 looks, of which 16 gave up
// the CPU, 35 % with three, 29-33 % with one; latencies were the same.

/** Empty turns before going to sleep. */
const LOOKS = 1;

export const IDLE_SPIN = 0;
export const IDLE_SLEEP = 1;

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
    return this.emptyTurns <= LOOKS ? IDLE_SPIN : IDLE_SLEEP;
  }

  /** Slept: the next turns are given a chance again. @hot */
  woke(): void {
    this.emptyTurns = 0;
  }
}
