// Which probe asks for which type of check. The monitor looks a type up here when a check begins.
// Invariant: every type but 'none' has one; a type that is missing does not compile.
// A new type of check is a file beside this one, a line here, and its section in the reference.

import type { HealthTarget } from '../health-state.ts';
import type { HealthType } from '../settings.ts';
import { probeDns } from './dns-probe.ts';
import { probeGrpc } from './grpc-probe.ts';
import { probeHttp } from './http-probe.ts';
import type { Probe, ProbeResult, RunningProbe } from './probe.ts';
import { probeScript } from './script-probe.ts';
import { probeTcp } from './tcp-probe.ts';
import { probeUdp } from './udp-probe.ts';

const PROBES: Readonly<Record<Exclude<HealthType, 'none'>, Probe>> = {
  tcp: probeTcp,
  http: probeHttp,
  https: probeHttp,
  dns: probeDns,
  udp: probeUdp,
  grpc: probeGrpc,
  script: probeScript,
};

/** Starts the check that a target's settings ask for. Throws when it cannot begin. */
export function startProbe(
  target: HealthTarget,
  finish: (result: ProbeResult) => void,
): RunningProbe {
  const { type } = target.settings;
  if (type === 'none') throw new Error('there is no active check to start');
  return PROBES[type](target, finish);
}
