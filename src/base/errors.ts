// Operating errors: what weir throws when something outside it is not as it must be. Each has a
// stable code, says what failed and on what, and what the operator can try next. The list of codes
// is documented in docs/reference/errors.md; a test holds the two against each other.
// A bad packet is never an error (it is counted under a reason); a programmer's mistake is an
// assertion (assert.ts).

/** Every stable error code. Documented in docs/reference/errors.md. */
export const ERROR_CODES = [
  'ERR_SYSTEM_CALL',
  'ERR_MISSING_CAPABILITY',
  'ERR_MEMLOCK_LIMIT',
  'ERR_INTERFACE_NOT_FOUND',
  'ERR_INTERFACE_UNSUPPORTED',
  'ERR_NAMESPACE_NOT_FOUND',
  'ERR_KERNEL_TOO_OLD',
  'ERR_PLATFORM_UNSUPPORTED',
  'ERR_SELF_TEST',
  'ERR_MEMORY_LAYOUT',
  'ERR_MEMORY_SIZE',
  'ERR_CONFIG_INVALID',
  'ERR_CONFIG_UNREADABLE',
  'ERR_TABLE_FULL',
  'ERR_PROCESSOR_STUCK',
  'ERR_CONTROL_UNREACHABLE',
  'ERR_BACKEND_UNKNOWN',
  'ERR_APPLICATION_UNKNOWN',
  'ERR_APPLICATION_MODULE',
  'ERR_REFUSED',
  'ERR_COMMAND_LINE',
  'ERR_ALREADY_RUNNING',
  'ERR_LAB',
  'ERR_PCAP_FORMAT',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** An operating error: `message` says what failed and on what; `advice` what to try next. */
export class WeirError extends Error {
  readonly code: ErrorCode;
  readonly advice: string;

  constructor(code: ErrorCode, message: string, advice: string) {
    super(advice === '' ? message : `${message}\n  → ${advice}`);
    this.name = 'WeirError';
    this.code = code;
    this.advice = advice;
  }
}

/** A system call that failed: carries the call and the errno name ('EPERM'). */
export class SystemError extends WeirError {
  readonly call: string;
  readonly errno: string;

  constructor(code: ErrorCode, call: string, errno: string, subject: string, advice: string) {
    super(code, `${call} failed with ${errno}${subject === '' ? '' : ` on ${subject}`}`, advice);
    this.name = 'SystemError';
    this.call = call;
    this.errno = errno;
  }
}
