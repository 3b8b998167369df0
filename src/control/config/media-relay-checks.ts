// The options of the application `media-relay`, checked with the file, so that `weir check` tells what is
// wrong and where; and what the relay's control part (src/call-control) is told by them. The part on the
// switching processors reads `interfaces` and `ports` itself (src/apps/media-relay).

import { z } from 'zod';
import type { RelaySettings } from '../../call-control/settings.ts';
import type { Path } from './faults.ts';
import { isTextFault, parseInterfaceAddress } from './ipv4-text.ts';
import type { ApplicationPart, CheckResult, ConfigurationParts } from './parts.ts';
import { durationMs, hostAddress, kernelAddress, name, port } from './schema-values.ts';

const DAY_MS = 86_400_000;
const FIRST_PORT = 1024;
/** Two legs of two ports. */
const LEAST_PORTS = 4;
const PORTS = /^([0-9]{4,5})-([0-9]{4,5})$/;

const optionsShape = z.strictObject({
  interfaces: z
    .array(
      z.strictObject({
        name,
        address: hostAddress('10.1.0.1'),
        advertise: hostAddress('203.0.113.1').optional(),
      }),
    )
    .min(1)
    .max(16),
  ports: z.string().regex(PORTS, { error: 'a range of ports is expected, such as 30000-39999' }),
  ng: z.strictObject({
    address: kernelAddress('10.2.0.9'),
    port: port.default(2223),
    allow: z.array(kernelAddress('10.2.0.20')).max(256).default([]),
  }),
  timeout: durationMs(1000, DAY_MS, '60s').prefault('60s'),
  'silent-timeout': durationMs(1000, DAY_MS, '1h').prefault('1h'),
  'latch-window': durationMs(0, 60_000, '3s').prefault('3s'),
  'ssrc-guard': durationMs(0, 10_000, '100ms').prefault('0s'),
});

/** What the relay's control part is to do; undefined when the options are not valid. */
export function mediaRelaySettings(
  options: Readonly<Record<string, unknown>>,
): RelaySettings | undefined {
  const { data } = optionsShape.safeParse(options);
  if (data === undefined) return undefined;
  const [, first, last] = PORTS.exec(data.ports) as RegExpExecArray;
  return {
    interfaces: data.interfaces.map((each) => ({ advertise: each.address, ...each })),
    firstPort: Number(first),
    lastPort: Number(last),
    ng: data.ng,
    timeoutMs: data.timeout,
    silentTimeoutMs: data['silent-timeout'],
    latchWindowMs: data['latch-window'],
    ssrcGuardMs: data['ssrc-guard'],
  };
}

/** Adds what is wrong with a `media-relay` application. */
export function mediaRelayFindings(
  application: ApplicationPart,
  at: Path,
  parts: ConfigurationParts,
  { faults, warnings }: CheckResult,
): void {
  const path = [...at, 'options'];
  const { error } = optionsShape.safeParse(application.options ?? {});
  for (const issue of error?.issues ?? []) {
    const place = issue.path.map((each) => (typeof each === 'symbol' ? String(each) : each));
    const suggestion = 'see docs/reference/media-relay.md';
    faults.push({ path: [...path, ...place], message: issue.message, suggestion });
  }
  if (application.processors === 'one') {
    const message = 'a media relay runs on all switching processors: media comes in on any';
    faults.push({ path: [...at, 'processors'], message, suggestion: 'leave it out' });
  }
  const settings = mediaRelaySettings(application.options ?? {});
  if (settings === undefined) return;
  const { firstPort, lastPort, interfaces, ng } = settings;
  if (ng.allow.length === 0) {
    const message = `whoever reaches UDP ${ng.address}:${ng.port} directs media`;
    const suggestion = 'name the proxies under `allow`';
    warnings.push({ path: [...path, 'ng'], message, suggestion });
  }
  if (firstPort < FIRST_PORT || lastPort > 65_535 || lastPort - firstPort + 1 < LEAST_PORTS) {
    const message = `${firstPort}-${lastPort} is no range of at least ${LEAST_PORTS} ports from ${FIRST_PORT} on`;
    faults.push({ path: [...path, 'ports'], message, suggestion: 'such as 30000-39999' });
  }
  const own = ownAddresses(application, parts);
  interfaces.forEach(({ name: each, address }, i) => {
    if (interfaces.findIndex((other) => other.name === each) < i) {
      const message = `there are two interfaces ${each}`;
      const suggestion = 'give each a name of its own';
      faults.push({ path: [...path, 'interfaces', i, 'name'], message, suggestion });
    }
    if (own.has(address)) return;
    const message = `${address} is no address of weir's`;
    const suggestion = "write one of an interface, or list it under the application's addresses";
    faults.push({ path: [...path, 'interfaces', i, 'address'], message, suggestion });
  });
}

function ownAddresses({ addresses }: ApplicationPart, parts: ConfigurationParts): Set<string> {
  const own = new Set((addresses ?? []).flatMap((each) => (each === undefined ? [] : [each])));
  for (const { addresses: ofInterface } of parts.interfaces) {
    for (const text of ofInterface) {
      const parsed = text === undefined ? undefined : parseInterfaceAddress(text);
      if (parsed !== undefined && !isTextFault(parsed)) own.add((text as string).split('/')[0]);
    }
  }
  return own;
}
