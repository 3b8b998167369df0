// Assertions: a programmer's error ends the process; the supervisor reports and restarts it.

/** Throws when `condition` does not hold. Not for packet content, which never throws. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
