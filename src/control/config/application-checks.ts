// What the entries of `applications` say about one another and about services: names and addresses that
// exist twice, services that do not exist, ranges that are none, and for applications of weir their own
// options. Options of other modules are the modules' to check, when they are set up.

import { BUILTIN_APPLICATIONS } from '../../base/application-plan.ts';
import { dnsFindings } from './dns-checks.ts';
import type { Path } from './faults.ts';
import { mediaRelayFindings } from './media-relay-checks.ts';
import { nearestWord } from './nearest-word.ts';
import type { ApplicationPart, CheckResult, ConfigurationParts } from './parts.ts';
import { portRange } from './schema-applications.ts';

/** Checks the applications; names that exist twice are found with those of all other lists. */
export function applicationChecks(parts: ConfigurationParts, result: CheckResult): void {
  parts.applications.forEach((application, index) => {
    const path = ['applications', index];
    checkModule(application, path, result);
    checkMatch(application, path, result);
    const services = parts.services.flatMap(({ name }) => (name === undefined ? [] : [name]));
    checkServices(application, services, path, result);
    checkAddresses(application, parts, path, result);
    if (application.module === 'dns')
      dnsFindings(application.options ?? {}, path, services, result);
    if (application.module === 'media-relay') mediaRelayFindings(application, path, parts, result);
  });
}

function checkModule({ module }: ApplicationPart, path: Path, { faults }: CheckResult): void {
  if (module === undefined || /[./]/.test(module)) return;
  if ((BUILTIN_APPLICATIONS as readonly string[]).includes(module)) return;
  const nearest = nearestWord(module, BUILTIN_APPLICATIONS);
  faults.push({
    path: [...path, 'module'],
    message: `${module} is no application of weir, and not the path of a file`,
    suggestion:
      nearest === undefined ? 'write the path, such as ./echo.mjs' : `did you mean ${nearest}?`,
  });
}

function checkMatch(application: ApplicationPart, path: Path, { faults }: CheckResult): void {
  const { match, services } = application;
  match?.forEach(({ port, service, ...rest }, i) => {
    const range = port === undefined ? 0 : portRange(port);
    if (Array.isArray(range) && (range[0] > range[1] || range[1] > 65_535 || range[0] < 1)) {
      const message = `${port} is no range of ports`;
      faults.push({
        path: [...path, 'match', i, 'port'],
        message,
        suggestion: 'such as 1000-2000',
      });
    }
    if (service === undefined) return;
    if (port !== undefined || rest.protocol !== undefined || rest.address !== undefined) {
      const message = 'a service has its address, port and protocol already';
      const suggestion = 'write service alone';
      faults.push({ path: [...path, 'match', i, 'service'], message, suggestion });
    }
    if (services?.includes(service)) return;
    const message = `service ${service} is not listed under services of the application`;
    const suggestion = `services: [${[...(services ?? []), service].join(', ')}]`;
    faults.push({ path: [...path, 'match', i, 'service'], message, suggestion });
  });
  if (application['when-off'] === 'drop' && match?.length === 0) {
    const message = 'what is to be dropped is not known while the module does not run';
    const suggestion = 'write match as well';
    faults.push({ path: [...path, 'when-off'], message, suggestion });
  }
}

function checkServices(
  { services }: ApplicationPart,
  known: readonly string[],
  path: Path,
  { faults }: CheckResult,
): void {
  services?.forEach((service, i) => {
    if (known.includes(service)) return;
    const nearest = nearestWord(service, known);
    const suggestion = nearest === undefined ? '' : `did you mean ${nearest}?`;
    const message = `there is no service ${service}`;
    faults.push({ path: [...path, 'services', i], message, suggestion });
  });
}

/** An address that a backend has is somewhere else; one of an interface is weir's anyway. */
function checkAddresses(
  { addresses }: ApplicationPart,
  { services }: ConfigurationParts,
  path: Path,
  { faults }: CheckResult,
): void {
  const backends = new Set(services.flatMap((service) => service.backends.map((b) => b.address)));
  addresses?.forEach((address, i) => {
    if (!backends.has(address)) return;
    const message = `${address} is the address of a backend`;
    const suggestion = 'write an address that no host has';
    faults.push({ path: [...path, 'addresses', i], message, suggestion });
  });
}
