// `weir check`: every fault of a configuration file at once, before anything is started or changed.
// Exit code 2 when there are faults, so that a script can check a file before it is rolled out.
// What depends on this machine (its CPUs) is checked against the machine that it runs on.

import { faultsToJson, formatFaults } from '../control/config/format-faults.ts';
import { type ParseResult, parseConfiguration } from '../control/config/parse.ts';
import { readConfigurationFile } from '../control/reload.ts';
import { usableCpus } from '../sys/cpu-partition.ts';
import { plural } from './status-terminal.ts';

const EXIT_FAULTS = 2;

/** Parses a file and shows faults and warnings on standard error. */
export function parseAndShow(path: string): ParseResult & { readonly text: string } {
  const text = readConfigurationFile(path);
  const result = parseConfiguration(text, path, usableCpus());
  process.stderr.write(formatFaults(result.faults, text));
  process.stderr.write(formatFaults(result.warnings, text, 'warning'));
  return { ...result, text };
}

/** @returns the exit code: 0 when the file can be used */
export function check(path: string, asJson: boolean): number {
  if (asJson) {
    const text = readConfigurationFile(path);
    const { faults, warnings } = parseConfiguration(text, path, usableCpus());
    process.stdout.write(`${faultsToJson(faults, warnings)}\n`);
    return faults.length === 0 ? 0 : EXIT_FAULTS;
  }
  const { configuration, faults, warnings } = parseAndShow(path);
  if (configuration === undefined) {
    process.stderr.write(`${path}: ${plural(faults.length, 'fault')}\n`);
    return EXIT_FAULTS;
  }
  const { interfaces, services } = configuration;
  const backends = services.reduce((sum, service) => sum + service.backends.length, 0);
  process.stdout.write(
    `${path}: good: ${plural(interfaces.length, 'interface')}, ` +
      `${plural(services.length, 'service')}, ${plural(backends, 'backend')}` +
      `${warnings.length > 0 ? `, ${plural(warnings.length, 'warning')}` : ''}\n`,
  );
  return 0;
}
