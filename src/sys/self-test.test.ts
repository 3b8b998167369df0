import { describe, expect, it } from 'vitest';
import { systemError } from './advice.ts';
import { lastErrno, libc, must, systemCallNumber } from './libc.ts';
import { checkKernelVersion, runSelfTest } from './self-test.ts';

describe('self-test', () => {
  it('passes on this machine', () => {
    runSelfTest();
  });

  it('refuses kernels before 5.9', () => {
    for (const version of ['5.9.0', '5.10.0-28-amd64', '6.1.0', '10.0']) {
      checkKernelVersion(version);
    }
    for (const version of ['5.8.18', '4.19.0-6-amd64', '3.10.0']) {
      expect(() => checkKernelVersion(version)).toThrow(/too old/);
    }
  });
});

describe('system errors', () => {
  it('carry call, errno name and subject', () => {
    expect(() => must(libc.close(-1), 'close', 'fd -1')).toThrow(
      'close failed with EBADF on fd -1',
    );
    expect(lastErrno()).toBe(9);
  });

  it.each([
    ['socket(AF_XDP)', 1, 'ERR_MISSING_CAPABILITY', 'CAP_NET_RAW'],
    ['bpf(PROG_LOAD)', 1, 'ERR_MISSING_CAPABILITY', 'CAP_BPF and CAP_NET_ADMIN'],
    ['setsockopt(XDP_UMEM_REG)', 105, 'ERR_MEMLOCK_LIMIT', 'LimitMEMLOCK'],
    ['ioctl(SIOCGIFMTU)', 19, 'ERR_INTERFACE_NOT_FOUND', 'ip -brief link'],
    ['bpf(LINK_CREATE)', 22, 'ERR_KERNEL_TOO_OLD', '5.9'],
    ['bpf(LINK_CREATE)', 16, 'ERR_INTERFACE_UNSUPPORTED', 'another program'],
    ['bpf(MAP_CREATE)', 1, 'ERR_MISSING_CAPABILITY', 'a user namespace'],
    ['mmap', 16, 'ERR_KERNEL_TOO_OLD', 'Linux 6.4'],
  ])('%s with errno %d is %s', (call, errno, code, advice) => {
    const error = systemError(call, errno, 'interface eth0');
    expect(error.code).toBe(code);
    expect(error.message).toContain('on interface eth0');
    expect(error.advice).toContain(advice);
  });

  it('keep an unknown failure readable', () => {
    const error = systemError('poll', 999, '');
    expect(error.code).toBe('ERR_SYSTEM_CALL');
    expect(error.message).toBe('poll failed with errno 999');
  });
});

describe('system calls by number', () => {
  it('reach the kernel', () => {
    // bpf(2) with a command that does not exist: EINVAL or EPERM, but never ENOSYS.
    expect(libc.syscall(systemCallNumber('bpf'), 9999, null, 0, null, null)).toBe(-1);
    expect([1, 7, 22]).toContain(lastErrno());
  });
});
