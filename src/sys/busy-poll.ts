// Busy polling on AF_XDP sockets: the driver of a queue is polled by who looks for its frames, in his own
// call and on his own CPU, instead of by an interrupt and the kernel's threads on whatever CPU. Set by the
// supervisor on a bound socket; netif/af-xdp/af-xdp-queue.ts then makes a call whenever its queue is empty.
//
// It takes effect where the kernel knows the NAPI instance of the queue, by a number that is not 0. From
// Linux 6.13 on that is settled when the socket is bound, by what the driver names (6.13 and 6.14: with
// zero-copy only), before it when the first frame comes in. Hardware and virtio_net have one; veth, TAP
// and other devices in software have none to name. While the driver is polled its interrupts are held back only if
// napi_defer_hard_irqs and gro_flush_timeout of the interface say so: those are the administrator's.
// Kernel documentation: Documentation/networking/napi.rst, "Busy polling".

import { errnoName } from './advice.ts';
import { lastErrno, libc } from './libc.ts';

const SOL_SOCKET = 1;
const SO_BUSY_POLL = 46;
const SO_INCOMING_NAPI_ID = 56;
const SO_PREFER_BUSY_POLL = 69;
const SO_BUSY_POLL_BUDGET = 70;

/** Its size does not matter to calls that do not wait, as ours; 0 would turn polling off. */
const BUSY_POLL_US = 20;

/**
 * Turns busy polling on; it needs CAP_NET_ADMIN.
 * @param budget frames that one poll of the driver may take
 * @returns 0, or the errno that refused it: nothing is on then
 */
export function setBusyPolling(fd: number, budget: number): number {
  for (const [option, value] of [
    [SO_PREFER_BUSY_POLL, 1],
    [SO_BUSY_POLL_BUDGET, budget],
    [SO_BUSY_POLL, BUSY_POLL_US],
  ] as const) {
    if (setOption(fd, option, value)) continue;
    const errno = lastErrno();
    setOption(fd, SO_PREFER_BUSY_POLL, 0);
    return errno;
  }
  return 0;
}

/** What is on; the kernel does not tell the budget. */
export function readBusyPolling(fd: number): { isPreferred: boolean; microseconds: number } {
  return {
    isPreferred: readOption(fd, SO_PREFER_BUSY_POLL) === 1,
    microseconds: readOption(fd, SO_BUSY_POLL),
  };
}

/** Number of the NAPI instance whose frames a socket gets; 0: none, or none yet. */
export function readNapiId(fd: number): number {
  return readOption(fd, SO_INCOMING_NAPI_ID);
}

/** Why busy polling was refused, for the operator. */
export function whyRefused(errno: number): string {
  const name = errnoName(errno);
  if (name === 'ENOPROTOOPT') return 'the kernel does not have it (Linux 5.11 does)';
  if (name === 'EPERM') return 'CAP_NET_ADMIN is missing';
  return `the kernel refused it: ${name}`;
}

function setOption(fd: number, option: number, value: number): boolean {
  return libc.setsockopt(fd, SOL_SOCKET, option, new Int32Array([value]), 4) === 0;
}

/** 0 where the kernel does not have the option. */
function readOption(fd: number, option: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  return libc.getsockopt(fd, SOL_SOCKET, option, value, length) === -1 ? 0 : value[0];
}
