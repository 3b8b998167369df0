// One line of `weir doctor`: what was looked at, whether it can be had, why (not), and what to do. The
// files beside this one look: at the machine, at its processors, at the interfaces of a configuration.
// Invariant: whatever is missing says what to do about it.

/**
 * ok: there. not had: weir runs without it, slower or with less. not needed: nothing here asks for it.
 * missing: weir does not run without it.
 */
export type FindingState = 'ok' | 'not had' | 'not needed' | 'missing';

export interface Finding {
  /** Stable, for programs: 'kernel-version', 'interface eth0: xdp-mode'. */
  readonly name: string;
  readonly state: FindingState;
  readonly reason: string;
  /** What to do about it; '' when nothing. */
  readonly advice: string;
}

export function ok(name: string, reason: string): Finding {
  return { name, state: 'ok', reason, advice: '' };
}

export function notHad(name: string, reason: string, advice: string): Finding {
  return { name, state: 'not had', reason, advice };
}

export function notNeeded(name: string, reason: string): Finding {
  return { name, state: 'not needed', reason, advice: '' };
}

export function missing(name: string, reason: string, advice: string): Finding {
  return { name, state: 'missing', reason, advice };
}
