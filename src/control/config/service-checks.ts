// Checks of what a service says about the health, the load and the choice of its backends: keys that do not
// belong together, labels and backends that nobody has, agents that speak for nobody.
// What stands in the way is a fault; what works but does nothing is a warning.

import { MAX_CHECKS_PER_SECOND } from '../../health/settings.ts';
import { healthFaults, passiveFaults } from '../../health/settings-faults.ts';
import { healthSettings, passiveSettings } from '../compile-health.ts';
import type { Path } from './faults.ts';
import { nearestWord } from './nearest-word.ts';
import type { CheckResult, ConfigurationParts, ServicePart } from './parts.ts';
import { COMMON_HEALTH_KEYS, type HealthConfiguration } from './schema-health.ts';

/** Keys of a check that only one type has. */
const HEALTH_KEYS: Readonly<Record<HealthConfiguration['type'], readonly string[]>> = {
  tcp: [],
  http: ['method', 'path', 'host', 'status', 'body'],
  https: ['method', 'path', 'host', 'status', 'body', 'server-name', 'verify'],
  dns: ['query', 'record', 'expect-address'],
  udp: ['send', 'send-hex', 'expect', 'expect-hex'],
  grpc: ['grpc-service'],
  script: ['command'],
};

/** Adds what is wrong with health, load and rules to `result`. */
export function serviceChecks(parts: ConfigurationParts, result: CheckResult): void {
  parts.services.forEach((service, index) => {
    const path = ['services', index];
    healthKeys(service, path, result);
    passiveHealth(service, path, result);
    loadSource(service, path, parts, result);
    persistence(service, path, result);
    fallbacks(service, path, result);
    service.rules?.forEach((_, rule) => {
      ruleChecks(service, rule, [...path, 'rules', rule], result);
    });
    ruleNames(service, path, result);
  });
  checkRate(parts, result);
  agents(parts, result);
}

/** Who asks for more checks than are made must know how far apart they will be. */
function checkRate({ services }: ConfigurationParts, { warnings }: CheckResult): void {
  let perSecond = 0;
  for (const { health, backends } of services) {
    if (health === undefined || health.type === 'script') continue;
    perSecond += (backends.length * 1000) / health.interval;
  }
  if (perSecond <= MAX_CHECKS_PER_SECOND) return;
  const longer = (perSecond / MAX_CHECKS_PER_SECOND).toFixed(1);
  const most = MAX_CHECKS_PER_SECOND;
  const effect = `${most} are made, so intervals are ${longer} times as long`;
  const message = `${Math.round(perSecond)} health checks per second: ${effect}`;
  const suggestion = 'set a longer health.interval, or use passive-health alone';
  warnings.push({ path: ['services'], message, suggestion });
}

function healthKeys({ health }: ServicePart, path: Path, { faults }: CheckResult): void {
  if (health === undefined) return;
  const known = [...COMMON_HEALTH_KEYS, ...HEALTH_KEYS[health.type]];
  for (const key of Object.keys(health)) {
    if (known.includes(key as (typeof known)[number])) continue;
    const owners = Object.entries(HEALTH_KEYS).filter(([, keys]) => keys.includes(key));
    const suggestion = `it belongs to type ${owners.map(([type]) => type).join(' or ')}`;
    const message = `${key} says nothing to a check of type ${health.type}`;
    faults.push({ path: [...path, 'health', key], message, suggestion, onKey: true });
  }
  if (health.type === 'script' && health.command === undefined) {
    const message = 'a script needs a command';
    const suggestion = 'add command: [/path/to/program, argument]';
    faults.push({ path: [...path, 'health', 'type'], message, suggestion });
    return;
  }
  for (const { key, fault } of healthFaults(healthSettings(health))) {
    faults.push({ path: [...path, 'health', key], message: `${key} ${fault}`, suggestion: '' });
  }
}

function passiveHealth(service: ServicePart, path: Path, { faults }: CheckResult): void {
  const passive = service['passive-health'];
  if (passive === undefined) return;
  for (const { key, fault } of passiveFaults(passiveSettings(passive))) {
    const at = [...path, 'passive-health', key];
    faults.push({ path: at, message: `${key} ${fault}`, suggestion: '' });
  }
  if (service.forwarding !== 'dsr') return;
  const message = 'with dsr the replies of the backends do not pass here: nothing can be observed';
  const suggestion = 'use health, or forwarding: nat';
  faults.push({ path: [...path, 'passive-health'], message, suggestion });
}

/** Schedulers to which a weight is only above 0 or not. */
const UNWEIGHTED = ['round-robin', 'least-connections'];

function loadSource(
  service: ServicePart,
  path: Path,
  { resourceManager }: ConfigurationParts,
  { faults, warnings }: CheckResult,
): void {
  const { load, distribution } = service;
  service.backends.forEach((backend, index) => {
    const source = backend.load?.source ?? load?.source;
    if (source === undefined) {
      if (backend.load === undefined) return;
      const message = 'load without a source';
      const suggestion = 'add source: here or in load of the service';
      faults.push({ path: [...path, 'backends', index, 'load'], message, suggestion });
      return;
    }
    const port = backend.load?.port ?? load?.port;
    if (source === 'agent' || port !== undefined) return;
    const at =
      load?.source === undefined ? [...path, 'backends', index, 'load'] : [...path, 'load'];
    const message = `${source} needs a port`;
    if (faults.some((fault) => fault.message === message && same(fault.path, at))) return;
    const example = source === 'node-exporter' ? 9100 : 9000;
    faults.push({ path: at, message, suggestion: `add it as in port: ${example}` });
  });
  const usesAgents =
    load?.source === 'agent' ||
    service.backends.some((backend) => backend.load?.source === 'agent');
  const { listen, remote } = resourceManager;
  if (usesAgents && listen === undefined && remote === undefined) {
    const message = 'agents report to nobody: the resource manager does not listen';
    const suggestion = 'add resource-manager: { listen: { address: … }, agents: [ … ] }';
    warnings.push({ path: [...path, 'load'], message, suggestion });
  }
  const isFedBack = distribution !== undefined && distribution.algorithm !== 'static';
  if (isFedBack && UNWEIGHTED.includes(service.scheduler ?? '')) {
    const message = `${service.scheduler} has no weights: ${distribution.algorithm} changes nothing`;
    const suggestion = `use scheduler: weighted-${service.scheduler}`;
    warnings.push({ path: [...path, 'scheduler'], message, suggestion });
  }
  const hasSource = load !== undefined || service.backends.some((backend) => backend.load);
  if (isFedBack && !hasSource && distribution.algorithm !== 'least-response-time') {
    const message = `${distribution.algorithm} has no load to go by: the weights stay as configured`;
    const suggestion = 'add load: { source: agent } to the service';
    warnings.push({ path: [...path, 'distribution', 'algorithm'], message, suggestion });
  }
}

function same(one: Path, other: Path): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function persistence(service: ServicePart, path: Path, { warnings }: CheckResult): void {
  if (service.persistence === undefined || service.scheduler !== 'source-hash') return;
  const message = 'source-hash keeps a client at its backend by itself';
  const suggestion = 'leave persistence out, unless clients must stay when weights change';
  warnings.push({ path: [...path, 'persistence'], message, suggestion });
}

function fallbacks(service: ServicePart, path: Path, { warnings }: CheckResult): void {
  const { backends } = service;
  if (backends.length === 0 || backends.some((backend) => backend.fallback !== true)) return;
  const message = 'all backends are fallbacks: they are used as if none were';
  const suggestion = 'leave fallback out of those that serve normally';
  warnings.push({ path: [...path, 'backends'], message, suggestion });
}

function ruleNames({ rules }: ServicePart, path: Path, { faults }: CheckResult): void {
  const seen = new Set<string>();
  rules?.forEach(({ name }, index) => {
    if (seen.has(name)) {
      const message = `rule ${name} exists twice`;
      const at = [...path, 'rules', index, 'name'];
      faults.push({ path: at, message, suggestion: 'give it another name' });
    }
    seen.add(name);
  });
}

const CONDITIONS = ['clients', 'client-ports', 'dscp', 'vlan', 'payload'] as const;

function ruleChecks(service: ServicePart, index: number, path: Path, result: CheckResult): void {
  const { faults, warnings } = result;
  const rule = service.rules![index];
  const fault = (key: string, message: string, suggestion: string) =>
    faults.push({ path: [...path, key], message, suggestion });
  if (rule.requires === undefined && rule.backend === undefined) {
    fault('name', 'the rule gives the connection to nobody', 'add requires: or backend:');
  }
  const ports = rule['client-ports']?.split('-').map(Number);
  if (ports !== undefined && (ports[0] > (ports[1] ?? ports[0]) || Math.max(...ports) > 65_535)) {
    fault('client-ports', `${rule['client-ports']} is no range of ports`, 'write it as 1024-2047');
  }
  const { payload, backend } = rule;
  if (payload !== undefined && service.protocol === 'tcp') {
    fault('payload', 'the first packet of TCP has no payload', 'payload is for udp');
  }
  if (payload?.mask !== undefined && payload.mask.length !== payload.value.length) {
    faults.push({
      path: [...path, 'payload', 'mask'],
      message: 'mask and value differ in length',
      suggestion: 'write as many bytes in both',
    });
  }
  const names = service.backends.flatMap(({ name }) => name ?? []);
  if (backend !== undefined && !names.includes(backend)) {
    const near = nearestWord(backend, names);
    const suggestion =
      near === undefined ? `backends: ${names.join(', ')}` : `did you mean ${near}?`;
    fault('backend', `there is no backend ${backend} in this service`, suggestion);
  }
  const labels = service.backends.flatMap((each) => each.labels ?? []);
  for (const label of rule.requires ?? []) {
    if (labels.includes(label)) continue;
    const message = `no backend has the label ${label}: the rule refuses every connection`;
    const suggestion = `add labels: [${label}] to a backend`;
    if (rule.otherwise === 'refuse') {
      warnings.push({ path: [...path, 'requires'], message, suggestion });
    }
  }
  if (CONDITIONS.every((condition) => rule[condition] === undefined)) {
    const isLast = index === service.rules!.length - 1;
    const message = 'a rule without a condition is met by every connection';
    const suggestion = isLast ? 'that is a default: all well' : 'rules behind it are never reached';
    if (!isLast) warnings.push({ path: [...path, 'name'], message, suggestion });
  }
}

/** Agents speak for backends that there are; each agent is named once, and alone speaks for its backends. */
function agents(
  { resourceManager, services }: ConfigurationParts,
  { faults, warnings }: CheckResult,
): void {
  const known = services.flatMap((service) =>
    service.backends.map(({ name }) => `${service.name}/${name}`),
  );
  const speakers = new Map(known.map((key) => [key, '']));
  for (const { name, backends, load } of services) {
    for (const backend of backends) {
      const source = backend.load?.source ?? load?.source ?? 'agent';
      if (source !== 'agent')
        speakers.set(`${name}/${backend.name}`, `its load is asked by ${source}`);
    }
  }
  const seen = new Set<string>();
  resourceManager.agents?.forEach((agent, index) => {
    const path = ['resource-manager', 'agents', index];
    if (seen.has(agent.name)) {
      const message = `agent ${agent.name} exists twice`;
      faults.push({ path: [...path, 'name'], message, suggestion: 'give it another name' });
    }
    seen.add(agent.name);
    agent.backends.forEach((backend, n) => {
      const speaker = speakers.get(backend);
      speakers.set(backend, speaker || `agent ${agent.name} speaks for it`);
      if (speaker === '') return;
      if (speaker !== undefined) {
        const message = `${backend}: ${speaker} already`;
        const suggestion = 'one source for each backend: of two, the last to speak would count';
        faults.push({ path: [...path, 'backends', n], message, suggestion });
        return;
      }
      const near = nearestWord(backend, known);
      const suggestion = near === undefined ? 'write service/backend' : `did you mean ${near}?`;
      const message = `there is no backend ${backend}`;
      faults.push({ path: [...path, 'backends', n], message, suggestion });
    });
  });
  const { listen, remote } = resourceManager;
  if (remote !== undefined && (listen !== undefined || (resourceManager.agents ?? []).length > 0)) {
    const message = 'with remote, agents report to that resource manager: listen and agents rest';
    const suggestion = 'move them to its configuration';
    warnings.push({ path: ['resource-manager', 'remote'], message, suggestion });
  }
}
