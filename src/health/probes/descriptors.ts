// File descriptors that a child process would inherit. The control processor holds main memory by a
// descriptor that it has itself inherited, and such a descriptor has no close-on-exec flag: every
// program that it starts would get write access to all tables. Node cannot set the flag, but it can put
// /dev/null over a number in the child, which is what the script probe does with those found here.
// proc_pid_fdinfo(5).

import { readdirSync, readFileSync } from 'node:fs';

const CLOSE_ON_EXEC = 0o2000000;
const FIRST_BEYOND_STDIO = 3;

/** Numbers above standard error that are open without close-on-exec, ascending. */
export function inheritedDescriptors(): number[] {
  return readdirSync('/proc/self/fdinfo')
    .map(Number)
    .filter((number) => number >= FIRST_BEYOND_STDIO && isInherited(number))
    .sort((a, b) => a - b);
}

function isInherited(number: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)$/m.exec(
      readFileSync(`/proc/self/fdinfo/${number}`, 'latin1'),
    );
    return flags !== null && (Number.parseInt(flags[1], 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    // Closed since the directory was read, as that of the directory itself is.
    return false;
  }
}
