// For the tests of polled sources: runs one source, and keeps what it reports and how its attempts went.
// Only tests import it.

import type { LoadFigures, LoadWish } from '../load/load-report.ts';
import type { Rejection } from '../load/rejections.ts';
import type { PolledSettings, SourceContext } from './settings.ts';

export interface SourceRecord {
  readonly reports: { figures: LoadFigures; wish?: LoadWish }[];
  readonly outcomes: (string | undefined)[];
  readonly rejections: Rejection[];
}

/** A context for a source at this port, asked every 50 ms unless said otherwise. */
export function recordingContext(
  port: number,
  settings: Partial<PolledSettings> & Pick<PolledSettings, 'source'>,
): SourceContext & SourceRecord {
  const record: SourceRecord = { reports: [], outcomes: [], rejections: [] };
  return {
    ...record,
    settings: {
      backend: 'web/b1',
      address: '127.0.0.1',
      port,
      intervalMs: 50,
      timeoutMs: 1000,
      ...settings,
    },
    now: () => performance.now(),
    random: () => Math.random(),
    report: (figures, wish) => void record.reports.push({ figures, wish }),
    rejected: (rejection) => void record.rejections.push(rejection),
    outcome: (error) => void record.outcomes.push(error),
  };
}
