// `weir doctor`: the machine as a whole. Node, kernel, rights, memory, clock, taking over. What can be
// tried without harm is tried (an XDP program is loaded, an AF_XDP socket opened, neither attached to
// anything); the rest is read from what the kernel tells of itself.

import { release } from 'node:os';
import { WeirError } from '../base/errors.ts';
import type { Configuration } from '../control/config/schema.ts';
import { computeLayout, FRAME_SIZE } from '../memory/layout.ts';
import { missingCapabilities, WEIR_CAPABILITIES } from '../sys/capabilities.ts';
import { clockSource, freeHugePages, kernelOptions, ptraceScope } from '../sys/kernel-facts.ts';
import { closeFd } from '../sys/libc.ts';
import { openNamespace } from '../sys/network-namespace.ts';
import { raiseLockedMemoryLimit } from '../sys/process.ts';
import { checkKernelVersion, runSelfTest } from '../sys/self-test.ts';
import { openTap } from '../sys/tap.ts';
import { loadDedicatedProgram } from '../sys/xdp-program.ts';
import { openXdpSocket } from '../sys/xdp-socket.ts';
import { type Finding, missing, notHad, notNeeded, ok } from './doctor-finding.ts';

const NODE_MAJOR = 20;
const NODE_MINOR = 19;
const HUGE_PAGE_SIZE = 2 << 20;
const COLLAPSE_KERNEL = [6, 1];
/** From here on the rings of a bound AF_XDP socket can be mapped. */
const REMAP_KERNEL = [6, 4];
/** Clock sources that are read without a call into the kernel. */
const FAST_CLOCKS = ['tsc', 'kvm-clock', 'hyperv_clocksource_tsc_page', 'arch_sys_counter'];
/** What each is for, where it is not there. */
const KERNEL_OPTIONS: Readonly<Record<string, string>> = {
  CONFIG_BPF_SYSCALL: 'loading XDP programs',
  CONFIG_XDP_SOCKETS: 'AF_XDP sockets',
  CONFIG_BPF_JIT: 'XDP programs at full speed',
  CONFIG_HUGETLBFS: 'huge pages',
  CONFIG_CPUSETS: 'CPU partitions',
  CONFIG_NET_RX_BUSY_POLL: 'busy polling of drivers',
  CONFIG_TUN: 'the device of `control`',
};

/** Findings about the machine; what the configuration asks for is judged where there is one. */
export function examineMachine(configuration: Configuration | undefined): Finding[] {
  return [
    node(),
    kernelVersion(),
    selfTest(),
    ...kernelConfiguration(configuration),
    capabilities(configuration),
    ...controlHost(configuration),
    bpf(configuration),
    afXdp(configuration),
    lockedMemory(configuration),
    hugePages(configuration),
    clock(),
    takeover(),
  ];
}

/** Whether some interface can only be had with AF_XDP; without a file nobody knows. */
function needsXdp(configuration: Configuration | undefined): boolean {
  return (
    configuration?.interfaces.some(({ kind, mode }) => kind === 'af-xdp' || mode === 'shared') ??
    false
  );
}

/** Missing where AF_XDP must be had, else something that `auto` does without. */
function lacksXdp(
  name: string,
  reason: string,
  advice: string,
  configuration: Configuration | undefined,
): Finding {
  if (needsXdp(configuration)) return missing(name, reason, advice);
  return notHad(name, `${reason}; packet rings are used instead`, advice);
}

function node(): Finding {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR)) {
    return ok('node', `Node ${process.versions.node}`);
  }
  const reason = `Node ${process.versions.node}, ${NODE_MAJOR}.${NODE_MINOR} is needed`;
  return missing('node', reason, 'install a newer one');
}

function explain(error: unknown): { what: string; advice: string } {
  if (!(error instanceof WeirError)) throw error;
  return { what: error.message.split('\n')[0], advice: error.advice };
}

function kernelVersion(): Finding {
  try {
    checkKernelVersion(release());
    return ok('kernel-version', `Linux ${release()}`);
  } catch (error) {
    const { what, advice } = explain(error);
    return missing('kernel-version', what, advice);
  }
}

function selfTest(): Finding {
  try {
    runSelfTest();
    return ok('self-test', 'system calls and shared memory work as expected');
  } catch (error) {
    const { what, advice } = explain(error);
    return missing('self-test', what, advice);
  }
}

function kernelConfiguration(configuration: Configuration | undefined): Finding[] {
  const options = kernelOptions();
  if (options === undefined) {
    const reason = 'neither /proc/config.gz nor /boot/config-… can be read';
    return [notHad('kernel-configuration', reason, 'what follows was tried out instead')];
  }
  const lacking = Object.keys(KERNEL_OPTIONS).filter((name) => !options.has(name));
  if (lacking.length === 0) {
    return [ok('kernel-configuration', 'all that weir can use is built in')];
  }
  return lacking.map((name) => {
    const reason = `${name} is not set: ${KERNEL_OPTIONS[name]}`;
    const at = `kernel-configuration ${name}`;
    const isControls = name === 'CONFIG_TUN';
    if (isControls && configuration !== undefined && configuration.control === undefined) {
      return notNeeded(at, reason);
    }
    return notHad(at, reason, 'another kernel');
  });
}

function capabilities(configuration: Configuration | undefined): Finding {
  const name = 'capabilities';
  const isWithoutXdp = configuration?.interfaces.every(({ kind }) => kind === 'af-packet');
  const visits = configuration?.control?.namespace !== undefined;
  const needed = WEIR_CAPABILITIES.filter((one) => one !== 'CAP_BPF' || isWithoutXdp !== true);
  if (visits) needed.push('CAP_SYS_ADMIN');
  const lacking = missingCapabilities(needed);
  if (lacking.length === 0) return ok(name, needed.join(', '));
  const advice = `start it as root, or with AmbientCapabilities=${needed.join(' ')}`;
  return missing(name, `${lacking.join(', ')} not held`, advice);
}

/** What the device of `control` needs: nothing is made. */
function controlHost(configuration: Configuration | undefined): Finding[] {
  const name = 'control-host';
  const control = configuration?.control;
  if (control === undefined) return [];
  const { device, namespace } = control;
  try {
    closeFd(openTap());
    if (namespace !== undefined) closeFd(openNamespace(namespace));
    const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
    return [ok(name, `${device} can be made${where}`)];
  } catch (error) {
    const { what, advice } = explain(error);
    return [missing(name, what, advice)];
  }
}

function bpf(configuration: Configuration | undefined): Finding {
  try {
    const { programFd, mapFd } = loadDedicatedProgram(1);
    for (const fd of [programFd, mapFd]) closeFd(fd);
    return ok('xdp-program', 'the kernel takes one');
  } catch (error) {
    const { what, advice } = explain(error);
    return lacksXdp('xdp-program', what, advice, configuration);
  }
}

function afXdp(configuration: Configuration | undefined): Finding {
  try {
    closeFd(openXdpSocket('doctor'));
    const [major, minor] = release().split(/[.-]/).map(Number);
    const [fromMajor, fromMinor] = REMAP_KERNEL;
    if (major > fromMajor || (major === fromMajor && minor >= fromMinor)) {
      return ok('af-xdp-socket', 'the kernel gives one');
    }
    // Where the change was taken over into an older kernel it works all the same.
    const reason = `before Linux ${REMAP_KERNEL.join('.')} its rings cannot be mapped by another process`;
    return notHad('af-xdp-socket', reason, 'a newer kernel; weir run says whether this one can');
  } catch (error) {
    const { what, advice } = explain(error);
    return lacksXdp('af-xdp-socket', what, advice, configuration);
  }
}

function lockedMemory(configuration: Configuration | undefined): Finding {
  const name = 'locked-memory';
  const limit = raiseLockedMemoryLimit();
  const text = limit === 2n ** 64n - 1n ? 'no limit' : `${limit / 1024n} KiB`;
  if (configuration === undefined) return ok(name, `limit: ${text}; what is needed is in a file`);
  const lockers = configuration.interfaces.filter(({ kind }) => kind !== 'af-packet').length;
  if (lockers === 0) return notNeeded(name, 'packet rings lock nothing');
  // As `weir run` counts: twice, because what a refused mode had locked comes back late.
  const wanted = BigInt(2 * lockers * configuration.limits.frames * FRAME_SIZE);
  if (limit >= wanted) return ok(name, `limit: ${text}`);
  if (missingCapabilities(['CAP_IPC_LOCK']).length === 0) {
    return ok(
      name,
      `limit: ${text}; CAP_IPC_LOCK is kept, because ${wanted / 1024n} KiB are needed`,
    );
  }
  const advice = 'LimitMEMLOCK=infinity in the unit, or fewer limits.frames';
  return missing(name, `limit: ${text}, needed: ${wanted / 1024n} KiB`, advice);
}

function hugePages(configuration: Configuration | undefined): Finding {
  const name = 'huge-pages';
  const free = freeHugePages();
  const [major, minor] = release().split(/[.-]/).map(Number);
  const [fromMajor, fromMinor] = COLLAPSE_KERNEL;
  if (major > fromMajor || (major === fromMajor && minor >= fromMinor)) {
    return ok(name, 'the kernel makes them of ordinary memory (Linux 6.1), none need be set aside');
  }
  if (configuration === undefined) return ok(name, `${free ?? 0} are set aside and free`);
  const { connections, frames } = configuration.limits;
  const sizes = { connections, frames, processors: configuration.processors.switching };
  const needed = Math.ceil(computeLayout(sizes).totalSize / HUGE_PAGE_SIZE);
  if (free !== undefined && free >= needed) return ok(name, `${free} free, ${needed} needed`);
  const reason = `${free ?? 0} free, ${needed} needed: a random read costs a page walk more`;
  return notHad(name, reason, `sysctl -w vm.nr_hugepages=${needed}`);
}

function clock(): Finding {
  const source = clockSource();
  if (source === undefined) return notHad('clock', 'the clock source cannot be read', '');
  if (FAST_CLOCKS.includes(source)) return ok('clock', `${source}, read without a system call`);
  const reason = `${source}: every reading is a system call, one a turn`;
  return notHad(
    'clock',
    reason,
    'clocksource=tsc on the kernel command line, if the CPU’s is stable',
  );
}

function takeover(): Finding {
  const name = 'takeover';
  const scope = ptraceScope();
  if (scope === undefined) return ok(name, 'Yama is not active: the same user may take over');
  if (scope < 2) return ok(name, `kernel.yama.ptrace_scope is ${scope}`);
  const reason =
    `kernel.yama.ptrace_scope is ${scope}: after a killed supervisor nobody may take the ` +
    'switching processors over';
  return notHad(name, reason, 'sysctl -w kernel.yama.ptrace_scope=1');
}
