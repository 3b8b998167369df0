// From the configuration to what the health checker and the master's synthesis are told: the same words,
// with the names and units of those modules.
// What the configuration leaves out has the default of those modules.

import type { DistributionSettings } from '../distribution/settings.ts';
import type { HealthMemory, HealthTarget } from '../health/checker.ts';
import {
  DEFAULT_HEALTH,
  type HealthSettings,
  NO_ACTIVE_CHECK,
  type PassiveSettings,
} from '../health/settings.ts';
import { backendKey } from './compile-configuration.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';
import type { HealthConfiguration, PassiveHealthConfiguration } from './config/schema-health.ts';

/** The settings of a service's distribution. */
export function compileDistribution(service: ServiceConfiguration): DistributionSettings {
  const { distribution } = service;
  return {
    algorithm: distribution.algorithm,
    smoothing: distribution.smoothing,
    deadBand: distribution['dead-band'],
    largestStep: distribution['largest-step'],
    floor: distribution.floor,
    ceiling: distribution.ceiling,
    blackoutMs: distribution.blackout,
    expiryMs: distribution.expiry,
    errorPenalty: distribution['error-penalty'],
    herdGuard: distribution['herd-guard'],
    slowStartMs: distribution['slow-start'],
    panicThreshold: service['panic-threshold'] / 100,
  };
}

/**
 * What is to be checked: every backend of a service with health checks, or that is observed.
 * @param previous what was known of a backend before control was started anew
 */
export function compileHealthTargets(
  { services }: Configuration,
  previous: (key: string) => HealthMemory | undefined = () => undefined,
): HealthTarget[] {
  return services.flatMap((service) => {
    const { health } = service;
    const passive = service['passive-health'];
    if (health === undefined && passive === undefined) return [];
    const settings = health === undefined ? NO_ACTIVE_CHECK : healthSettings(health);
    return service.backends.map((backend): HealthTarget => {
      const key = backendKey(service.name, backend.name);
      const before = previous(key);
      return {
        key,
        address: backend.address,
        port: backend['health-port'] ?? health?.port ?? backend.port,
        settings,
        ...(passive && { passive: passiveSettings(passive) }),
        ...(before && { previous: before }),
      };
    });
  });
}

/** The settings of a check, in the health checker's words. */
export function healthSettings(health: HealthConfiguration): HealthSettings {
  return {
    type: health.type,
    intervalMs: health.interval,
    fastIntervalMs: Math.min(health['fast-interval'], health.interval),
    timeoutMs: health.timeout,
    jitter: health.jitter,
    rise: health.rise,
    fall: health.fall,
    holdMs: health.hold,
    holdMaxMs: Math.max(health['hold-max'], health.hold),
    method: health.method ?? DEFAULT_HEALTH.method,
    path: health.path ?? DEFAULT_HEALTH.path,
    status: health.status ?? DEFAULT_HEALTH.status,
    verify: health.verify ?? DEFAULT_HEALTH.verify,
    record: health.record ?? DEFAULT_HEALTH.record,
    grpcService: health['grpc-service'] ?? DEFAULT_HEALTH.grpcService,
    command: health.command ?? DEFAULT_HEALTH.command,
    ...(health.host !== undefined && { host: health.host }),
    ...(health.body !== undefined && { body: health.body }),
    ...(health['server-name'] !== undefined && { serverName: health['server-name'] }),
    ...(health.query !== undefined && { query: health.query }),
    ...(health['expect-address'] !== undefined && { expectAddress: health['expect-address'] }),
    ...(health.send !== undefined && { send: health.send }),
    ...(health['send-hex'] !== undefined && { sendHex: health['send-hex'] }),
    ...(health.expect !== undefined && { expect: health.expect }),
    ...(health['expect-hex'] !== undefined && { expectHex: health['expect-hex'] }),
  };
}

/** The same of what is observed. */
export function passiveSettings(passive: PassiveHealthConfiguration): PassiveSettings {
  return {
    unanswered: passive.unanswered,
    resets: passive.resets,
    windowMs: passive.window,
    holdMs: passive.hold,
  };
}
