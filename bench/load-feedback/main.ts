// Draws the picture of docs/guides/load-feedback.md anew from its record:
//   WEIR_RECORD=$PWD/bench/results/load-feedback.json npx vitest run --project scenario load-feedback
//   npm run build && node dist/bench/load-feedback/main.js
// test/unit/load-feedback-picture.test.ts holds the picture to the record.

import { readFileSync, writeFileSync } from 'node:fs';
import { drawFeedback, type FeedbackRun } from './picture.ts';

const TOP = new URL('../../../', import.meta.url);
const record = new URL('bench/results/load-feedback.json', TOP);
const run = JSON.parse(readFileSync(record, 'utf8')) as FeedbackRun;
writeFileSync(new URL('docs/pictures/load-feedback.svg', TOP), drawFeedback(run));
