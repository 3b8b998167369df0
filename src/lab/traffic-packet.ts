// What a generated UDP packet bears, so that its receiver can tell what became of the others. The flow's
// packets are numbered from 0 in each run; flows that are equal in their lower 16 bits share a number, so
// numbers are exact up to 65,536 flows and nearly so above.
//
//   bytes of the frame   42 run u32    46 number u32    50 time u64    58 group u16
//
// All in the machine's own order: sender and receiver are programs of one kernel, with one clock
// (CLOCK_MONOTONIC in ns). The run's upper half is a mark by which the packet is known as ours.

/** Of every generated frame, without the frame check sequence: the shortest that Ethernet allows. */
export const GENERATED_LENGTH = 60;

export const RUN = 42;
export const RUN_MARK = RUN + 2;
export const NUMBER = 46;
export const TIME = 50;
export const GROUP = 58;

/** Upper half of the run. */
export const MARK = 0x5745;
/** A power of two. */
export const GROUPS = 1 << 16;

/** The run field of a run number, of which the lower 16 bits count. An int32. */
export function runField(run: number): number {
  return (MARK << 16) | (run & 0xffff);
}
