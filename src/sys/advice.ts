// What a failed system call means to an operator: a table from errno and call to a stable error code
// and to the next thing to try. Whoever adds a system call looks here whether its failures deserve
// better words than "ERR_SYSTEM_CALL". Calls with several meanings carry their option in brackets,
// for instance 'setsockopt(XDP_UMEM_REG)', so that each has advice of its own.

import { constants } from 'node:os';
import { type ErrorCode, SystemError } from '../base/errors.ts';

/** What to report for one errno of one call; `capability` is named in the advice. */
interface Advice {
  readonly code: ErrorCode;
  readonly advice: string;
}

const names = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) names.set(number, name);
names.set(constants.errno.EAGAIN, 'EAGAIN');
names.set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP');
// Linux numbers that Node does not list.
names.set(19, 'ENODEV');
names.set(100, 'ENETDOWN');
names.set(524, 'ENOTSUPP');

/** 'EPERM' for 1; 'errno 999' for a number without a name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

function missing(capabilities: string): Advice {
  const first = capabilities.split(' ')[0];
  return {
    code: 'ERR_MISSING_CAPABILITY',
    advice:
      `needs ${capabilities.replaceAll(' ', ' and ')}: start weir as root, or give it with ` +
      `AmbientCapabilities=${capabilities} in its systemd unit (check ${first} in ` +
      '`grep Cap /proc/self/status`)',
  };
}

/** Rights that count only where they are held for the whole machine. */
function missingForBpf(): Advice {
  const { code, advice } = missing('CAP_BPF CAP_NET_ADMIN');
  return { code, advice: `${advice}; a user namespace (a rootless container) cannot give it` };
}

const GONE: Advice = {
  code: 'ERR_INTERFACE_NOT_FOUND',
  advice: 'there is no such network interface here: compare the name with `ip -brief link`',
};
const MEMLOCK: Advice = {
  code: 'ERR_MEMLOCK_LIMIT',
  advice:
    'the frames do not fit under the limit of locked memory: set LimitMEMLOCK=infinity in the ' +
    'systemd unit, or `ulimit -l unlimited` before the start, or configure fewer frames',
};
const UNSUPPORTED: Advice = {
  code: 'ERR_INTERFACE_UNSUPPORTED',
  advice: 'the driver cannot do this: use kind af-packet for this interface',
};
const TAKEN: Advice = {
  code: 'ERR_INTERFACE_UNSUPPORTED',
  advice:
    'another program already has this interface or queue: look with `ip link show` (prog/xdp) ' +
    'and `bpftool net`, stop it or detach it with `ip link set dev … xdp off`',
};
const NO_AF_XDP: Advice = {
  code: 'ERR_KERNEL_TOO_OLD',
  advice: 'the kernel has no AF_XDP (CONFIG_XDP_SOCKETS): use kind af-packet',
};
const NO_TAP: Advice = {
  code: 'ERR_INTERFACE_UNSUPPORTED',
  advice: 'the kernel has no TAP devices here: `modprobe tun`, or make the device node',
};
const NAME_TAKEN: Advice = {
  code: 'ERR_INTERFACE_UNSUPPORTED',
  advice: 'there is another device of this name (`ip link show`, in the namespace): choose another',
};
const NO_BPF_LINK: Advice = {
  code: 'ERR_KERNEL_TOO_OLD',
  advice: 'the kernel knows no XDP links, weir needs Linux 5.9 or later',
};
const MEMORY: Advice = {
  code: 'ERR_MEMORY_SIZE',
  advice: 'not enough memory: configure fewer connections or frames, or add memory',
};
const DESCRIPTORS: Advice = {
  code: 'ERR_SYSTEM_CALL',
  advice: 'too many open files: raise LimitNOFILE= or `ulimit -n`',
};

const TABLE: Readonly<Record<string, Advice>> = {
  'socket(AF_XDP) EPERM': missing('CAP_NET_RAW'),
  'socket(AF_XDP) EACCES': missing('CAP_NET_RAW'),
  'socket(AF_XDP) EAFNOSUPPORT': NO_AF_XDP,
  'socket(AF_PACKET) EPERM': missing('CAP_NET_RAW'),
  'socket(AF_PACKET) EACCES': missing('CAP_NET_RAW'),
  'setsockopt(XDP_UMEM_REG) ENOBUFS': MEMLOCK,
  'setsockopt(XDP_UMEM_REG) EPERM': MEMLOCK,
  'setsockopt(XDP_UMEM_REG) ENOMEM': MEMORY,
  'setsockopt(PACKET_RX_RING) ENOMEM': MEMORY,
  'setsockopt(PACKET_TX_RING) ENOMEM': MEMORY,
  'bind(AF_XDP) ENODEV': GONE,
  'bind(AF_XDP) EBUSY': TAKEN,
  'bind(AF_XDP) EOPNOTSUPP': UNSUPPORTED,
  'bind(AF_XDP) EPERM': missing('CAP_NET_RAW'),
  'bind(AF_XDP) EINVAL': {
    code: 'ERR_INTERFACE_UNSUPPORTED',
    advice: 'the interface has no such queue, or is down: compare with `ethtool -l`',
  },
  'bind(AF_PACKET) ENODEV': GONE,
  'bind(AF_PACKET) ENXIO': GONE,
  'ioctl(SIOCSIFFLAGS) EPERM': missing('CAP_NET_ADMIN'),
  'ioctl(SIOCSIFMTU) EPERM': missing('CAP_NET_ADMIN'),
  'bind(AF_NETLINK) EPERM': missing('CAP_NET_ADMIN'),
  'open(/dev/net/tun) ENOENT': NO_TAP,
  'open(/dev/net/tun) EACCES': {
    code: 'ERR_MISSING_CAPABILITY',
    advice: 'let the user of weir read and write /dev/net/tun (mode 0666, or a group of its own)',
  },
  'ioctl(TUNSETIFF) EPERM': missing('CAP_NET_ADMIN'),
  'ioctl(TUNSETIFF) EBUSY': NAME_TAKEN,
  'ioctl(TUNSETIFF) EINVAL': NAME_TAKEN,
  'netlink(RTM_NEWLINK) EEXIST': NAME_TAKEN,
  'setns EPERM': missing('CAP_SYS_ADMIN'),
  'netlink(RTM_NEWLINK) EPERM': missing('CAP_NET_ADMIN'),
  'netlink(RTM_NEWADDR) EPERM': missing('CAP_NET_ADMIN'),
  'netlink(RTM_NEWROUTE) EPERM': missing('CAP_NET_ADMIN'),
  'bpf(MAP_CREATE) EPERM': missingForBpf(),
  'bpf(MAP_CREATE) EINVAL': NO_AF_XDP,
  'bpf(MAP_CREATE) ENOSYS': NO_BPF_LINK,
  'bpf(PROG_LOAD) EPERM': missingForBpf(),
  'bpf(LINK_CREATE) EPERM': missing('CAP_NET_ADMIN CAP_BPF'),
  'bpf(LINK_CREATE) EINVAL': NO_BPF_LINK,
  'bpf(LINK_CREATE) EBUSY': TAKEN,
  'bpf(LINK_CREATE) EEXIST': TAKEN,
  'bpf(LINK_CREATE) EOPNOTSUPP': UNSUPPORTED,
  'bpf(LINK_CREATE) ERANGE': UNSUPPORTED,
  'mmap EBUSY': {
    code: 'ERR_KERNEL_TOO_OLD',
    advice: 'the rings of an AF_XDP socket in use can be mapped from Linux 6.4 on: kind: af-packet',
  },
  'mmap ENOMEM': MEMORY,
  'mmap EPERM': MEMLOCK,
  'ftruncate ENOSPC': MEMORY,
  'ftruncate EFBIG': MEMORY,
  'sched_setaffinity EINVAL': {
    code: 'ERR_SYSTEM_CALL',
    advice: 'that CPU is not there or not allowed: compare with `taskset -p $$` and the cpuset',
  },
  'prctl(PR_SET_SECUREBITS) EPERM': missing('CAP_SETPCAP'),
  'prctl(PR_CAPBSET_DROP) EPERM': missing('CAP_SETPCAP'),
  'prctl(PR_CAP_AMBIENT) EPERM': missing('CAP_NET_RAW CAP_NET_ADMIN CAP_BPF'),
  'capset EPERM': missing('CAP_NET_RAW CAP_NET_ADMIN CAP_BPF'),
  'setrlimit EPERM': missing('CAP_SYS_RESOURCE'),
  'pidfd_open ENOSYS': {
    code: 'ERR_KERNEL_TOO_OLD',
    advice: 'weir needs Linux 5.9 or later',
  },
  'pidfd_getfd EPERM': missing('CAP_SYS_PTRACE'),
};

/** For an errno whose meaning hardly depends on the call. */
const GENERAL: Readonly<Record<string, Advice>> = {
  ENODEV: GONE,
  ENXIO: GONE,
  EMFILE: DESCRIPTORS,
  ENFILE: DESCRIPTORS,
  ENOSYS: { code: 'ERR_KERNEL_TOO_OLD', advice: 'weir needs Linux 5.9 or later' },
};

/**
 * The error for one failed call.
 * @param call the name of the call, with its option in brackets where that matters
 * @param errno the number that errno had
 * @param subject what it was called on, e.g. 'interface eth0 queue 1'; '' when there is nothing
 */
export function systemError(call: string, errno: number, subject: string): SystemError {
  const name = errnoName(errno);
  const found = TABLE[`${call} ${name}`] ?? GENERAL[name];
  return new SystemError(
    found?.code ?? 'ERR_SYSTEM_CALL',
    call,
    name,
    subject,
    found?.advice ?? '',
  );
}
