// What this process may do, found out by doing it: capability bits say little in a container, in a
// user namespace or on a kernel without the device in question. A scenario that lacks something is
// skipped with the reason given here, never passed over in silence.

import { readFileSync } from 'node:fs';
import { pid } from 'node:process';
import { execute, findProgram } from './command.ts';
import { userNamespaceProblem } from './user-namespace.ts';

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;
const CAP_BPF = 39n;

export interface Privileges {
  root: boolean;
  /** We are root only of a user namespace: network namespaces work, BPF does not. */
  inUserNamespace: boolean;
  /** Why network namespaces cannot be made; undefined when they can. */
  networkProblem: string | undefined;
  /** Why XDP programs cannot be loaded (so no AF_XDP); undefined when they can. */
  bpfProblem: string | undefined;
  /** Why user namespaces cannot be made; undefined when they can. */
  userNamespaceProblem: string | undefined;
}

let known: Privileges | undefined;

function hasCapability(bit: bigint): boolean {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return line !== null && ((BigInt(`0x${line[1]}`) >> bit) & 1n) === 1n;
}

/** Whether our user identifiers are mapped, that is, we are not in the machine's own namespace. */
export function isInUserNamespace(): boolean {
  const map = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/);
  return map.join(' ') !== '0 0 4294967295';
}

/** Makes a namespace and a veth pair in it, and takes both away again. */
function probeNetwork(): string | undefined {
  if (findProgram('ip') === undefined) return 'the program ip (iproute2) is not installed';
  if (!hasCapability(CAP_NET_ADMIN) || !hasCapability(CAP_SYS_ADMIN)) {
    return 'neither root nor in a user namespace (CAP_NET_ADMIN and CAP_SYS_ADMIN are missing)';
  }
  const name = `weir-${pid}-probe`;
  const made = execute('ip', ['netns', 'add', name], { mayFail: true });
  if (made.status !== 0) return `no network namespaces: ${made.stderr.trim()}`;
  const veth = ['-n', name, 'link', 'add', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1'];
  const linked = execute('ip', veth, { mayFail: true });
  execute('ip', ['netns', 'delete', name], { mayFail: true });
  return linked.status === 0 ? undefined : `no veth interfaces: ${linked.stderr.trim()}`;
}

function bpfProblem(): string | undefined {
  if (isInUserNamespace()) return 'BPF is not allowed in a user namespace';
  if (!hasCapability(CAP_BPF) && !hasCapability(CAP_SYS_ADMIN)) return 'CAP_BPF is missing';
  return undefined;
}

/** What this process may do. Found out once. */
export function privileges(): Privileges {
  known ??= {
    root: process.getuid?.() === 0,
    inUserNamespace: isInUserNamespace(),
    networkProblem: probeNetwork(),
    bpfProblem: bpfProblem(),
    userNamespaceProblem: userNamespaceProblem(),
  };
  return known;
}

/** What a scenario may need. */
export interface Needs {
  /** Programs that must be installed. */
  programs?: string[];
  /** Needs BPF, that is XDP and AF_XDP. Network namespaces are always needed. */
  bpf?: boolean;
}

/** Why a scenario with these needs must be skipped, for printing; undefined when it can run. */
export function skipReason(needs: Needs = {}): string | undefined {
  const { networkProblem, bpfProblem: noBpf } = privileges();
  if (networkProblem !== undefined) return networkProblem;
  if (needs.bpf && noBpf !== undefined) return noBpf;
  const missing = (needs.programs ?? []).filter((program) => findProgram(program) === undefined);
  if (missing.length > 0) return `not installed: ${missing.join(', ')} (npm run setup as root)`;
  return undefined;
}
