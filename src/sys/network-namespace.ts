// Network namespaces by name, as `ip netns` keeps them: files in /run/netns. A namespace belongs to a
// thread; this thread visits another one, does something there at once, and comes back. man 7
// network_namespaces, man 2 setns. Needs CAP_SYS_ADMIN.

import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { WeirError } from '../base/errors.ts';
import { libc, must } from './libc.ts';

const FOLDER = '/run/netns';
const CLONE_NEWNET = 0x40000000;

/** The file that stands for a namespace. */
function namespacePath(name: string): string {
  return `${FOLDER}/${name}`;
}

/** What tells an open namespace from every other. */
export function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd);
  return `${dev}:${ino}`;
}

/** The same for a name; undefined when there is none of that name. */
export function namespaceIdentity(name: string): string | undefined {
  try {
    const { dev, ino } = statSync(namespacePath(name));
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/**
 * Opens a namespace. The caller closes the descriptor.
 * @throws WeirError ERR_NAMESPACE_NOT_FOUND
 */
export function openNamespace(name: string): number {
  try {
    return openSync(namespacePath(name), 'r');
  } catch {
    throw new WeirError(
      'ERR_NAMESPACE_NOT_FOUND',
      `there is no network namespace '${name}'`,
      `make it first: \`ip netns add ${name}\``,
    );
  }
}

/**
 * Does something in the network namespace of `fd`; whatever `action` opens there stays there. It must
 * not wait: everything of this thread is in the other namespace meanwhile.
 * @throws SystemError
 */
export function inNamespace<Result>(fd: number, action: () => Result): Result {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    must(libc.setns(fd, CLONE_NEWNET), 'setns', 'another network namespace');
    try {
      return action();
    } finally {
      must(libc.setns(home, CLONE_NEWNET), 'setns', 'the own network namespace');
    }
  } finally {
    closeSync(home);
  }
}
