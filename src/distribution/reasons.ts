// to come
import type { Derivation } from './derivation.ts';
import type { Reason } from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';

export function reasonsOf(_settings: DistributionSettings, derivation: Derivation): Reason[] {
  return [{ code: derivation.standing, text: derivation.standing }];
}
