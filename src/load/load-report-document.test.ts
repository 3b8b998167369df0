// docs/reference/load-report.md says what the code does: reasons, figures and their limits, wishes.

import { describe, expect, it } from 'vitest';
import { readText } from '../../test/support/source-text.ts';
import { REJECTION_MEANINGS } from './rejections.ts';
import { FIGURE_LIMITS, WISH_LIMITS } from './report-limits.ts';
import { MAX_REPORT_BACKENDS, MAX_REPORT_BYTES } from './signed-report.ts';

describe('docs/reference/load-report.md', () => {
  const text = readText('docs/reference/load-report.md');
  const section = (title: string) => text.split(`\n## ${title}\n`)[1].split('\n## ')[0];

  it('has every reason with its meaning, and no other', () => {
    const rows = [
      ...section('Why a report is rejected').matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm),
    ].map(([, reason, meaning]) => [reason, meaning]);
    expect(Object.fromEntries(rows)).toEqual(REJECTION_MEANINGS);
  });

  it('has every figure with its limit, and no other', () => {
    const rows = [...section('Figures').matchAll(/^\| `(\w+)` \| ([0-9]+) \|/gm)].map(
      ([, figure, limit]) => [figure, Number(limit)],
    );
    expect(Object.fromEntries(rows)).toEqual(FIGURE_LIMITS);
  });

  it('has the limits of wishes and of the whole', () => {
    const wishes = section('Wishes');
    expect(wishes).toContain(`\`weight\` | 0 to ${WISH_LIMITS.weight} |`);
    expect(wishes).toContain(`\`weightPercent\` | 0 to ${WISH_LIMITS.weightPercent} |`);
    expect(wishes).toContain(`\`connectionLimit\` | 0 to ${WISH_LIMITS.connectionLimit} |`);
    expect(wishes).toContain(`up to ${WISH_LIMITS.reasonCharacters} characters`);
    expect(text).toContain(`at most ${MAX_REPORT_BYTES} bytes`);
    expect(text).toContain(`At most ${MAX_REPORT_BACKENDS} backends`);
  });
});
