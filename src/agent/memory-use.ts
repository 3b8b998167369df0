// Used share of memory, from /proc/meminfo (proc_meminfo(5)): what is not available to a program that
// would start now. Caches that can be given back count as available.
// Invariant: 0 to 1, or nothing.

/** @param text of /proc/meminfo @returns 0 to 1; undefined when it is not what Linux writes */
export function parseMemoryUtilization(text: string): number | undefined {
  const total = kibibytes(text, 'MemTotal');
  const available = kibibytes(text, 'MemAvailable');
  if (total === undefined || available === undefined || total === 0) return undefined;
  return Math.min(1, Math.max(0, 1 - available / total));
}

function kibibytes(text: string, name: string): number | undefined {
  const match = new RegExp(`^${name}: +([0-9]+) kB$`, 'm').exec(text);
  return match === null ? undefined : Number(match[1]);
}
