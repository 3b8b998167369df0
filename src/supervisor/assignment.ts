// Which switching processor polls which queue of which interface (A4): decided once, at start, so
// that each receive queue has exactly one poller for as long as weir runs. Pure.
// The result stands in the interface blocks of main memory, where transmitters look for an owner.

/** One interface with the number of queues it was opened with. */
export interface AssignableInterface {
  readonly queues: number;
  /** The configuration's `processor`: polls all queues of the interface. */
  readonly processor?: number | undefined;
}

/**
 * For each interface, the processor of each of its queues. Queue q goes to processor q modulo N where
 * there are several queues, so that each processor has a queue of its own on every interface and
 * need not hand frames over. Interfaces with one queue are dealt out in turn.
 */
export function assignQueues(
  interfaces: readonly AssignableInterface[],
  processors: number,
): number[][] {
  let nextSingle = 0;
  return interfaces.map(({ queues, processor }) => {
    if (processor !== undefined) return new Array<number>(queues).fill(processor);
    if (queues === 1) return [nextSingle++ % processors];
    return Array.from({ length: queues }, (_, queue) => queue % processors);
  });
}
