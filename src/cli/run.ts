// `weir run`: checks the configuration, gives up every right that is not needed, and becomes the
// supervisor. Capabilities belong to threads, and Node has started several by now; so the rights are
// dropped for this thread and the program executes itself anew, with which all threads have just them.

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WeirError } from '../base/errors.ts';
import { parseConfiguration } from '../control/config/parse.ts';
import type { Configuration } from '../control/config/schema.ts';
import { readConfigurationFile } from '../control/reload.ts';
import { FRAME_SIZE } from '../memory/layout.ts';
import { runSupervisor } from '../supervisor/main.ts';
import {
  type CapabilityName,
  clearAmbientCapabilities,
  WEIR_CAPABILITIES,
  withOnlyCapabilities,
} from '../sys/capabilities.ts';
import { executeNode, forbidNewPrivileges, raiseLockedMemoryLimit } from '../sys/process.ts';
import { runSelfTest } from '../sys/self-test.ts';
import { parseAndShow } from './check.ts';
import { plural } from './status-terminal.ts';

const EXIT_FAULTS = 2;
/** Set in the second life of the process, after its rights were dropped. */
const RIGHTS_DROPPED = 'WEIR_RIGHTS_DROPPED';

/** @returns the exit code */
export async function run(configPath: string, socketPath: string): Promise<number> {
  const path = resolve(configPath);
  if (process.env[RIGHTS_DROPPED] === undefined) {
    // Faults are shown before anything is touched, and only once.
    const { configuration, faults } = parseAndShow(path);
    if (configuration === undefined) {
      process.stderr.write(`${path}: ${plural(faults.length, 'fault')}; weir was not started\n`);
      return EXIT_FAULTS;
    }
    runSelfTest();
    const lockers = configuration.interfaces.filter(({ kind }) => kind !== 'af-packet');
    // Only with it can a thread visit another namespace, to give the device there its addresses.
    const visits = configuration.control?.namespace !== undefined;
    const more: CapabilityName[] = visits ? ['CAP_SYS_ADMIN'] : [];
    dropRights(configuration.limits.frames * FRAME_SIZE * lockers.length, more);
  }
  delete process.env[RIGHTS_DROPPED];
  clearAmbientCapabilities();
  const configuration = readAgain(path);
  return await runSupervisor(configuration, path, resolve(socketPath));
}

/**
 * Executes this program anew with the rights to open interfaces and no others. AF_XDP locks the frames in
 * memory: where the limit of locked memory is too low for them, CAP_IPC_LOCK is needed as well. They are
 * counted twice for a while: the kernel gives back late what a refused mode had locked.
 */
function dropRights(lockedBytes: number, more: readonly CapabilityName[]): never {
  const isLimitEnough = raiseLockedMemoryLimit() >= BigInt(2 * lockedBytes);
  const lock: CapabilityName[] = isLimitEnough ? [] : ['CAP_IPC_LOCK'];
  withOnlyCapabilities([...WEIR_CAPABILITIES, ...lock, ...more]);
  // Before the execution rather than after it, so that it holds for every thread.
  forbidNewPrivileges();
  const weir = fileURLToPath(new URL('../../../bin/weir', import.meta.url));
  const args = [...process.execArgv, weir, ...process.argv.slice(2)];
  return executeNode(args, { ...process.env, [RIGHTS_DROPPED]: '1' });
}

function readAgain(path: string): Configuration {
  const { configuration } = parseConfiguration(readConfigurationFile(path), path);
  if (configuration !== undefined) return configuration;
  throw new WeirError(
    'ERR_CONFIG_INVALID',
    `${path} was changed a moment ago and has faults now`,
    `weir check --config ${path}`,
  );
}
