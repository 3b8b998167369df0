// `weir resource-manager`: the resource manager as a program of its own, in the foreground. SIGHUP reads
// the configuration file and the key files again (faults change nothing), SIGTERM and Ctrl-C end it,
// SIGUSR1 writes what has been counted to the log. docs/reference/resource-manager.md.

import { dirname, resolve } from 'node:path';
import { Log } from '../base/log.ts';
import { formatFaults } from '../control/config/format-faults.ts';
import { readConfigurationFile } from '../control/reload.ts';
import { readKeyFile } from '../load/key-file.ts';
import { type ProgramSettings, ResourceManagerProgram } from '../resource-manager/program.ts';
import { type ProgramFile, parseProgramFile } from './resource-manager-file.ts';
import { plural } from './status-terminal.ts';

const EXIT_FAULTS = 2;

/**
 * Runs it until a signal ends it.
 * @param isCheck only look whether the file and its keys can be used
 * @returns the exit code: 2 when the file has faults
 */
export async function resourceManager(path: string, isCheck: boolean): Promise<number> {
  const log = new Log('resource-mgr');
  const settings = readSettings(path, log);
  if (settings === undefined) return EXIT_FAULTS;
  const { agents, polled } = settings.manager;
  if (isCheck) {
    const counts = `${plural(agents.length, 'agent')}, ${plural(polled.length, 'source')}`;
    process.stdout.write(`${path}: good: ${counts}\n`);
    return 0;
  }
  process.title = 'weir: resource manager';
  const program = new ResourceManagerProgram(settings, log);
  // One after the other, however many signals come.
  let reloads = Promise.resolve();
  process.on('SIGHUP', () => {
    reloads = reloads.then(() => reload(program, path, log));
  });
  process.on('SIGUSR1', () => log.info(JSON.stringify(program.statistics())));
  const ended = new Promise<void>((end) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end());
  });
  await program.start();
  await ended;
  program.stop();
  return 0;
}

async function reload(program: ResourceManagerProgram, path: string, log: Log): Promise<void> {
  try {
    const settings = readSettings(path, log);
    if (settings === undefined) {
      log.warning(`${path} has faults: the settings before it stay in force`);
      return;
    }
    await program.update(settings);
    log.info(`${path} is in force`);
  } catch (error) {
    log.warning(`${(error as Error).message}; the settings before it stay in force`);
  }
}

/** The file and its keys; undefined after its faults were shown. @throws WeirError */
function readSettings(path: string, log: Log): ProgramSettings | undefined {
  const text = readConfigurationFile(path);
  const { file, faults } = parseProgramFile(text, path);
  process.stderr.write(formatFaults(faults, text));
  return file === undefined ? undefined : settingsOf(file, dirname(resolve(path)), log);
}

/** Reads the keys and turns keys of the file into settings. */
function settingsOf(file: ProgramFile, folder: string, log: Log): ProgramSettings {
  const keysOf = (path: string): readonly Uint8Array[] => {
    const { keys, warnings } = readKeyFile(resolve(folder, path));
    for (const warning of warnings) log.warning(warning);
    return keys;
  };
  const { listen, feed } = file;
  return {
    manager: {
      ...(listen && { listen }),
      reportsPerSecond: file['reports-per-second'],
      agents: file.agents.map(({ name, backends, 'key-file': path }) => {
        return { name, backends, keys: keysOf(path) };
      }),
      polled: file.sources.map(({ interval, timeout, ...source }) => {
        return { ...source, intervalMs: interval, timeoutMs: timeout };
      }),
    },
    feed: { address: feed.address, port: feed.port, keys: keysOf(feed['key-file']) },
  };
}
