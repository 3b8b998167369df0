// Services and backends of the running configuration as the closed loop walks them each second: with the names and
// numbers under which everything about them is kept, made once per configuration. Sixteen thousand keys
// put together anew each second would cost more than what is found under them.
// Invariant: the order is that of the configuration.

import type { DistributionSettings } from '../distribution/settings.ts';
import { backendKey, type Ids } from './compile-configuration.ts';
import { compileDistribution } from './compile-health.ts';
import type { BackendConfiguration, Configuration, ServiceConfiguration } from './config/schema.ts';

export interface RosterBackend {
  readonly configuration: BackendConfiguration;
  readonly name: string;
  /** 'service/backend' */
  readonly key: string;
  /** Its number in the configuration table. */
  readonly id: number;
}

export interface RosterService {
  readonly configuration: ServiceConfiguration;
  readonly name: string;
  readonly settings: DistributionSettings;
  readonly backends: readonly RosterBackend[];
}

export type Roster = readonly RosterService[];

export function rosterOf({ services }: Configuration, ids: Ids): Roster {
  return services.map((service) => ({
    configuration: service,
    name: service.name,
    settings: compileDistribution(service),
    backends: service.backends.map((backend) => {
      const key = backendKey(service.name, backend.name);
      return {
        configuration: backend,
        name: backend.name,
        key,
        id: ids.backends.get(key) as number,
      };
    }),
  }));
}
