// `weir doctor`: each interface of the configuration. What can be had without touching it; the mode of
// XDP is asked of a running weir, or found out by attaching a program that passes everything (--try),
// because some drivers reset their link by that.

import { readFileSync } from 'node:fs';
import { WeirError } from '../base/errors.ts';
import type { Configuration } from '../control/config/schema.ts';
import type { Status } from '../control/status-shape.ts';
import { FRAME_DATA_MAX } from '../memory/layout.ts';
import { linkXdpProgram, XDP_FLAGS_DRIVER, XDP_FLAGS_GENERIC } from '../sys/bpf.ts';
import { interfaceInterrupts } from '../sys/interrupts.ts';
import { linkAttribute } from '../sys/kernel-facts.ts';
import { closeFd } from '../sys/libc.ts';
import { type LinkState, readLink } from '../sys/link.ts';
import { loadDedicatedProgram } from '../sys/xdp-program.ts';
import { type Finding, missing, notHad, notNeeded, ok } from './doctor-finding.ts';

const LINK_HEADER_MAX = 14 + 2 * 4;
const MTU_MAX = FRAME_DATA_MAX - LINK_HEADER_MAX;

const NAPI_ADVICE =
  'a hardware interface or virtio_net (in copy mode not with Linux 6.13 and 6.14)';

export interface InterfaceOptions {
  /** Of the weir that runs, if one does. */
  readonly status: Status | undefined;
  /** Attach a program for a moment. */
  readonly isTrying: boolean;
}

type InterfaceConfiguration = Configuration['interfaces'][number];

/** Findings about every interface of the configuration. */
export function examineInterfaces(
  configuration: Configuration,
  options: InterfaceOptions,
): Finding[] {
  return configuration.interfaces.flatMap((one) => [
    ...examineOne(one, configuration, options),
    ...listeners(one, configuration),
  ]);
}

function examineOne(
  one: InterfaceConfiguration,
  { processors }: Configuration,
  options: InterfaceOptions,
): Finding[] {
  const at = `interface ${one.name}`;
  let link: LinkState;
  try {
    link = readLink(one.name);
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    return [missing(at, error.message.split('\n')[0], 'compare with `ip -brief link`')];
  }
  const driver = link.driver === '' ? 'unknown driver' : link.driver;
  const findings = [ok(at, `${driver}, ${link.queues} queue(s), MTU ${link.mtu}`)];
  if (link.mtu > MTU_MAX) {
    const reason = `MTU ${link.mtu}, a frame holds ${MTU_MAX}`;
    const advice = `ip link set dev ${one.name} mtu 1500`;
    findings.push(missing(`${at}: mtu`, reason, advice));
  }
  const wanted = one.queues === 'auto' ? link.queues : one.queues;
  if (wanted < link.queues) {
    const reason = `${wanted} of ${link.queues} are polled: what comes in on the others is the kernel's`;
    const advice = `ethtool -L ${one.name} combined ${wanted}, or leave queues out`;
    findings.push(notHad(`${at}: queues`, reason, advice));
  } else if (one.processor === undefined && wanted < processors.switching) {
    const reason = `${wanted} for ${processors.switching} switching processors: frames are handed over`;
    findings.push(notHad(`${at}: queues`, reason, `ethtool -L ${one.name} combined N`));
  } else {
    findings.push(ok(`${at}: queues`, `${wanted}`));
  }
  findings.push(xdpMode(one, link, options), busyPolling(one, options));
  return findings;
}

function xdpMode(
  { name, kind, mode }: InterfaceConfiguration,
  link: LinkState,
  { status, isTrying }: InterfaceOptions,
): Finding {
  const at = `interface ${name}: xdp-mode`;
  if (kind === 'af-packet') return notNeeded(at, 'kind is af-packet');
  const running = status?.interfaces.find((each) => each.name === name);
  if (running !== undefined) return judgeMode(at, running.mode, 'weir runs with it');
  if (!isTrying) {
    const reason = 'found out at the start of weir';
    return notHad(at, reason, 'weir doctor --try attaches a program that passes everything');
  }
  try {
    return judgeMode(at, tryModes(link), 'tried');
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    const reason = error.message.split('\n')[0];
    if (kind === 'auto' && mode !== 'shared') return notHad(at, reason, error.advice);
    return missing(at, reason, error.advice);
  }
}

function judgeMode(at: string, mode: string, how: string): Finding {
  if (mode === 'native zero-copy') return ok(at, `${mode} (${how})`);
  if (mode === 'native') return ok(at, `${mode} (${how}; zero-copy is found out at the start)`);
  if (mode === 'native copy') {
    const reason = `${mode} (${how}): the driver has no zero-copy, each frame is copied once`;
    return notHad(at, reason, 'an interface whose driver has it (i40e, ice, ixgbe, mlx5 …)');
  }
  return notHad(at, `${mode} (${how}): the driver has no XDP`, 'an interface whose driver has it');
}

/** The best attachment that the driver takes. @throws SystemError when it takes none */
function tryModes({ index, name, queues }: LinkState): 'native' | 'generic copy' {
  const { programFd, mapFd } = loadDedicatedProgram(queues);
  try {
    for (const [mode, flags] of [
      ['native', XDP_FLAGS_DRIVER],
      ['generic copy', XDP_FLAGS_GENERIC],
    ] as const) {
      try {
        closeFd(linkXdpProgram(programFd, index, flags, name));
        return mode;
      } catch (error) {
        if (mode === 'generic copy') throw error;
      }
    }
    return 'generic copy';
  } finally {
    for (const fd of [programFd, mapFd]) closeFd(fd);
  }
}

/**
 * Whether drivers are polled by weir's calls. Only the sockets of a weir that runs tell; without one, by
 * whether there is hardware at all.
 */
function busyPolling(
  { name, kind, 'busy-poll': wanted }: InterfaceConfiguration,
  { status }: InterfaceOptions,
): Finding {
  const at = `interface ${name}: busy-polling`;
  if (kind === 'af-packet') return notNeeded(at, 'kind is af-packet');
  const running = status?.interfaces.find((each) => each.name === name);
  const hasNapi = running === undefined ? undefined : running.busyPolling.queuesWithNapi > 0;
  if (wanted === undefined) {
    const could =
      hasNapi === undefined
        ? 'whether its sockets have a NAPI instance is found out at the start'
        : `its sockets ${hasNapi ? 'have' : 'do not have'} a NAPI instance`;
    return notNeeded(at, `busy-poll is not set (${could})`);
  }
  if (running?.busyPolling.inEffect) return deferral(at, name);
  if (running?.busyPolling.budget) {
    return notHad(at, running.busyPolling.reason ?? '', NAPI_ADVICE);
  }
  if (interfaceInterrupts(name).length > 0) return deferral(at, name);
  const reason = 'a device without hardware: its sockets will hardly have a NAPI instance';
  return notHad(at, reason, NAPI_ADVICE);
}

/** The driver's interrupts go on unless the kernel is told to put them off while somebody polls. */
function deferral(at: string, name: string): Finding {
  const settings = ['napi_defer_hard_irqs', 'gro_flush_timeout'].map((attribute) => ({
    attribute,
    value: linkAttribute(name, attribute),
  }));
  const unset = settings.filter(({ value }) => value === '' || value === '0');
  const text = settings.map(({ attribute, value }) => `${attribute} is ${value || '?'}`).join(', ');
  if (unset.length === 0) return ok(at, text);
  const advice = `echo 2 > /sys/class/net/${name}/napi_defer_hard_irqs; echo 200000 > /sys/class/net/${name}/gro_flush_timeout`;
  return notHad(at, `${text}: interrupts come in besides`, advice);
}

/** Ports of the kernel's programs on addresses of a shared interface that a service claims. */
function listeners(
  { name, mode, addresses }: InterfaceConfiguration,
  { services }: Configuration,
): Finding[] {
  if (mode !== 'shared') return [];
  const at = `interface ${name}: claimed-ports`;
  const own = addresses.map((cidr) => cidr.split('/')[0]);
  const claimed = services.filter(({ address }) => own.includes(address));
  if (claimed.length === 0) return [notNeeded(at, "no service has the host's own address")];
  const hidden = claimed.filter(({ protocol, port }) => isListening(protocol, port));
  if (hidden.length === 0) return [ok(at, claimed.map(({ port }) => port).join(', '))];
  const ports = hidden.map(
    ({ protocol, port, name: service }) => `${protocol} ${port} (${service})`,
  );
  const reason = `a program of this host listens on ${ports.join(', ')} and will get nothing`;
  return [notHad(at, reason, 'let it listen elsewhere, or give the service another port')];
}

function isListening(protocol: 'tcp' | 'udp', port: number): boolean {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const state = protocol === 'tcp' ? '0A' : '07';
  return [`/proc/net/${protocol}`, `/proc/net/${protocol}6`].some((path) => {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      return false;
    }
    return text.split('\n').some((line) => {
      const columns = line.trim().split(/\s+/);
      return columns[1]?.endsWith(wanted) && columns[3] === state;
    });
  });
}
