// How busy the CPUs of this machine are, from /proc/stat (proc_stat(5)): the first line has the
// time that all CPUs together spent in each state since the start, in ticks of ten milliseconds.
// The share of two readings' difference that was neither idle nor waiting for I/O is the
// utilisation.
//
// Time that a hypervisor gave to others ("steal") counts as busy, because it was not there for this
// machine's work. Guests' time is in "user" and "nice" already.

export interface ProcessorTime {
  /** Ticks in which CPUs worked. */
  readonly busy: number;
  /** Ticks of all CPUs. */
  readonly total: number;
  /** CPUs that are there now. */
  readonly processors: number;
}

/** @param text of /proc/stat @returns undefined when it is not what Linux writes */
export function parseProcessorTime(text: string): ProcessorTime | undefined {
  const match = /^cpu +((?:[0-9]+ ?)+)$/m.exec(text);
  const ticks = match?.[1].trim().split(' ').map(Number);
  if (ticks === undefined || ticks.length < 4) return undefined;
  const [user, nice, system, idle, ioWait = 0, interrupts = 0, softInterrupts = 0, stolen = 0] =
    ticks;
  const busy = user + nice + system + interrupts + softInterrupts + stolen;
  const processors = text.match(/^cpu[0-9]+ /gm)?.length ?? 1;
  return { busy, total: busy + idle + ioWait, processors };
}

/** Busy share between two readings, 0 to 1; undefined when no time has passed between them. */
export function utilizationBetween(
  before: ProcessorTime,
  after: ProcessorTime,
): number | undefined {
  const total = after.total - before.total;
  // The kernel's idle and iowait may run backwards by a tick when CPUs come and go.
  if (total <= 0) return undefined;
  return Math.min(1, Math.max(0, (after.busy - before.busy) / total));
}
