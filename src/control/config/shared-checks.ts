// Checks of what an interface is to do that only AF_XDP can: to stay the kernel's (`mode: shared`), when
// what the kernel has must not be promised to others either, and to have its driver polled (`busy-poll`).
// What weir takes of a shared interface is in control/claims.ts.

import type { CheckResult, ConfigurationParts } from './parts.ts';

/** Adds what is wrong with shared and busily polled interfaces to `result`. */
export function sharedChecks(parts: ConfigurationParts, result: CheckResult): void {
  kinds(parts, result);
  busyPolling(parts, result);
  controlAddresses(parts, result);
  routedBetween(parts, result);
}

function kinds({ interfaces }: ConfigurationParts, { faults }: CheckResult): void {
  interfaces.forEach(({ mode, kind, name }, index) => {
    if (mode !== 'shared' || kind !== 'af-packet') return;
    const message =
      `${name ?? 'this interface'} cannot be shared with af-packet: packet sockets only copy ` +
      "frames, so the kernel would also answer weir's, with a reset";
    const suggestion = 'leave kind out (af-xdp is needed), or use mode: dedicated';
    faults.push({ path: ['interfaces', index, 'kind'], message, suggestion });
  });
}

function busyPolling({ interfaces }: ConfigurationParts, { faults }: CheckResult): void {
  interfaces.forEach(({ 'busy-poll': busyPoll, kind, name }, index) => {
    if (busyPoll === undefined || kind !== 'af-packet') return;
    const message =
      `${name ?? 'this interface'} cannot poll its driver with af-packet: packet sockets have no ` +
      'part in receiving, the kernel writes their rings by interrupts';
    const suggestion = 'leave kind out (af-xdp is needed), or take busy-poll out';
    faults.push({ path: ['interfaces', index, 'busy-poll'], message, suggestion });
  });
}

/** The kernel answers for what it has itself: nothing of it would reach the control host's device. */
function controlAddresses(
  { interfaces, control }: ConfigurationParts,
  { faults }: CheckResult,
): void {
  const hostOf = (cidr: string | undefined): string | undefined => cidr?.split('/')[0];
  control?.addresses.forEach((text, index) => {
    const owner = interfaces.find(({ mode, addresses }) => {
      return (
        mode === 'shared' && text !== undefined && addresses.map(hostOf).includes(hostOf(text))
      );
    });
    if (owner === undefined) return;
    const message = `${text} is the kernel's on ${owner.name ?? 'a shared interface'}, whose programs have it already`;
    const path = ['control', 'addresses', index];
    faults.push({ path, message, suggestion: 'take it out, or use mode: dedicated' });
  });
}

/** What no service claims never reaches weir there, nor would answers to a translated source. */
function routedBetween(
  { interfaces, forwarding }: ConfigurationParts,
  { faults }: CheckResult,
): void {
  const shared = interfaces.filter(({ mode }) => mode === 'shared').map(({ name }) => name);
  forwarding.forEach((entry, index) => {
    for (const key of ['from', 'to'] as const) {
      if (entry[key] === undefined || !shared.includes(entry[key])) continue;
      const message = `${entry[key]} is shared: what no service claims there is the kernel's to forward`;
      const suggestion = 'leave it to the kernel (net.ipv4.ip_forward), or use mode: dedicated';
      faults.push({ path: ['forwarding', index, key], message, suggestion });
    }
  });
}
