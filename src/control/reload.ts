// Reload: reads the configuration file again and puts it into force without a pause. What cannot be
// changed while weir runs (interfaces, processors, sizes) makes the reload fail as a fault does.
// Invariant: a file with faults changes nothing, whatever else it says.

import { readBoundedFile } from '../base/bounded-file.ts';
import { WeirError } from '../base/errors.ts';
import { CONFIGURATION_TEXT_SIZE } from '../memory/layout.ts';
import { describeChanges, needsRestart } from './config/changes.ts';
import type { Fault } from './config/faults.ts';
import { parseConfiguration } from './config/parse.ts';
import type { Configuration } from './config/schema.ts';

export interface ReloadResult {
  readonly applied: boolean;
  /** Generation of the configuration that runs now. */
  readonly generation: number;
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
  /** What is different now, a line each. */
  readonly changes: readonly string[];
  /** What operators have changed at run time and the file does not undo, a line each. */
  readonly remaining?: readonly string[];
  /** Why it was refused where no place in the file is at fault. */
  readonly refused?: string;
  /** The file's text, to show faults in their lines. */
  readonly text?: string;
}

/** Reads a file as text: a regular one, no larger than a configuration can be. @throws WeirError ERR_CONFIG_UNREADABLE */
export function readConfigurationFile(path: string): string {
  try {
    return readBoundedFile(path, CONFIGURATION_TEXT_SIZE).bytes.toString('utf8');
  } catch (error) {
    const { message } = error as Error;
    throw new WeirError(
      'ERR_CONFIG_UNREADABLE',
      `the configuration file ${path} cannot be read: ${message}`,
      message === 'ENOENT'
        ? 'check the path given with --config'
        : 'check what it is, and its rights',
    );
  }
}

export interface ReloadContext {
  readonly path: string;
  readonly running: Configuration;
  readonly generation: number;
  publish(configuration: Configuration, text: string): Promise<Published>;
}

export interface Published {
  /** Generation of the configuration that is in force now. */
  readonly generation: number;
  /** What has changed that the configuration does not say, a line each. */
  readonly changes: readonly string[];
}

/**
 * Tries to put the file's present content into force. Never throws for what the file says.
 * @returns with `configuration`, what runs now, when it was applied
 */
export async function reload(
  context: ReloadContext,
): Promise<ReloadResult & { readonly configuration?: Configuration }> {
  const unchanged = { applied: false, generation: context.generation, changes: [] };
  try {
    const text = readConfigurationFile(context.path);
    const { configuration, faults, warnings } = parseConfiguration(text, context.path);
    if (configuration === undefined) return { ...unchanged, faults, warnings, text };
    const fixed = needsRestart(context.running, configuration);
    if (fixed.length > 0) {
      const refused = `${fixed.join(', ')} cannot change while weir runs: restart weir`;
      return { ...unchanged, faults, warnings, refused };
    }
    const changes = describeChanges(context.running, configuration);
    const published = await context.publish(configuration, text);
    const { generation } = published;
    changes.push(...published.changes);
    return { applied: true, generation, faults, warnings, changes, configuration };
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    return { ...unchanged, faults: [], warnings: [], refused: error.message };
  }
}
