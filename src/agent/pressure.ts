// Pressure stall information (Linux: Documentation/accounting/psi.rst): the share of time in which
// at least one task could not go on for want of a CPU, of memory or of I/O, over the last ten
// seconds. A kernel may be built or started without it; then there is no figure.

/** @param text of /proc/pressure/cpu and its like @returns 0 to 1; undefined when it is not there */
export function parsePressure(text: string): number | undefined {
  const match = /^some avg10=([0-9]+(?:\.[0-9]+)?) /m.exec(text);
  return match === null ? undefined : Math.min(1, Number(match[1]) / 100);
}
