// Who may speak for which backend by the configuration: agents by their names, and the source that the
// server itself is asked by. The resource manager lets nobody else report; this tells which reports that were
// accepted before still count after the configuration has changed.

import type { LoadReport } from '../load/load-report.ts';
import { backendKey } from './compile-configuration.ts';
import type { Configuration } from './config/schema.ts';
import { sourceOf } from './load-sources.ts';

/** By backend's key: 'agent NAME' of its agents, 'orca' and the like of what it is asked by. */
export interface Speakers {
  readonly byBackend: ReadonlyMap<string, ReadonlySet<string>>;
  /** Reports come from a resource manager on another host, which knows who may speak. */
  readonly isRemote: boolean;
}

export function speakersOf({ services, 'resource-manager': manager }: Configuration): Speakers {
  const byBackend = new Map<string, Set<string>>();
  for (const service of services) {
    for (const backend of service.backends) {
      const source = sourceOf(service, backend)?.source;
      byBackend.set(backendKey(service.name, backend.name), new Set(source && [source]));
    }
  }
  for (const { name, backends } of manager.agents) {
    for (const key of backends) byBackend.get(key)?.add(`agent ${name}`);
  }
  return { byBackend, isRemote: manager.remote !== undefined };
}

/** Whether a report that was accepted once would be accepted now. */
export function isSpokenFor({ byBackend, isRemote }: Speakers, report: LoadReport): boolean {
  const { backend, source, identity } = report;
  const speakers = byBackend.get(backend);
  if (speakers === undefined || isRemote) return speakers !== undefined;
  return speakers.has(source === 'agent' ? `agent ${identity}` : source);
}
