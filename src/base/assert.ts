// Assertions: a programmer's error ends the process; the supervisor reports and restarts it.
// Packet content and the outside world are never asserted: a bad packet is counted under a reason
// (memory/reasons.ts), a bad environment is an operating error (errors.ts).

/** Throws when `condition` does not hold. Not for packet content, which never throws. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
