// Long work of the control processor in pieces: a generator that yields now and then is run to its end, and
// between the pieces everything else in the process has its turn (health checks above all, whose deadlines
// would pass while it works). Invariant: between two pieces at least one round of the event loop is made.

/** Runs to the end; others have their turn at each `yield`. Rejects with what the work throws. */
export async function inPieces<Result>(work: Generator<void, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Runs to the end without a pause. */
export function atOnce<Result>(work: Generator<void, Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
