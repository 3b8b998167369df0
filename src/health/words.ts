// Causes in plain words: durations, errors of the system, and text that came from a server and must
// not be able to spoil a terminal or a log line.
// Invariant: what `plain` returns is one line of printable characters, of bounded length.

const MAX_TEXT = 200;

/** 500 → '500 ms', 1500 → '1.5 s', 300000 → '5 min'. */
export function duration(milliseconds: number): string {
  const ms = Math.round(milliseconds);
  if (ms < 1000) return `${ms} ms`;
  if (ms < 120_000) return `${Math.round(ms / 100) / 10} s`;
  return `${Math.round(ms / 6_000) / 10} min`;
}

/** Text from outside, made fit for one line: control characters become spaces, what is long is cut. */
export function plain(text: string): string {
  const line = text
    .slice(0, MAX_TEXT * 4)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim();
  return line.length > MAX_TEXT ? `${line.slice(0, MAX_TEXT)}…` : line;
}

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by the server',
  ECONNABORTED: 'connection aborted',
  EPIPE: 'connection closed by the server',
  ETIMEDOUT: 'no answer: the kernel gave up',
  EHOSTUNREACH: 'host unreachable: no answer to ARP, or no route',
  EHOSTDOWN: 'host is down',
  ENETUNREACH: 'network unreachable: this machine has no route to it',
  ENETDOWN: 'network is down',
  EACCES: 'not permitted by this machine',
  EPERM: 'not permitted by this machine (a firewall rule?)',
  EMSGSIZE: 'too large for one datagram',
  ENOENT: 'no such file',
  ENOEXEC: 'not a program, and no #! in its first line',
  ENOTDIR: 'no such file',
};

/** What this machine lacks: says nothing about the server. */
const LOCAL_ERRORS: Readonly<Record<string, string>> = {
  EMFILE: 'no free file descriptor in this process',
  ENFILE: 'no free file descriptor on this machine',
  ENOMEM: 'no free memory',
  ENOBUFS: 'no free network buffers',
  EAGAIN: 'no free process or resource',
  EADDRNOTAVAIL: 'no free local port or address',
};

/** Whether an error says nothing about the server, because this machine lacks something. */
export function isLocalLack(error: unknown): boolean {
  return codeOf(error) in LOCAL_ERRORS;
}

/** An error of the system, of TLS or of a protocol, in plain words. */
export function errorText(error: unknown): string {
  const code = codeOf(error);
  const known = SYSTEM_ERRORS[code] ?? LOCAL_ERRORS[code];
  if (known !== undefined) return known;
  const message = plain(error instanceof Error ? error.message : String(error));
  return message === '' ? code : message;
}

/** 'ECONNREFUSED', 'HPE_INVALID_CONSTANT' …, or ''. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
