// Applications for the benchmark of the packet filter: one that wants none of its packets, and one that sees
// all of them and lets them pass. Written to a file and loaded as a user's would be, so that what is
// measured is what a user gets.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApplicationPlan } from '../../src/base/application-plan.ts';
import { applicationsBuffer } from '../../src/memory/application-memory.ts';
import { HEADER_APPLICATIONS_LENGTH_A } from '../../src/memory/layout.ts';
import type { MainMemory } from '../../src/memory/region.ts';
import type { SwitchingProcessor } from '../../src/switching/processor.ts';

const APPLICATIONS: Readonly<Record<string, string>> = {
  none: '',
  idle: `export const match = { protocol: 'icmp' }; export const onPacket = (packet) => packet.pass();`,
  pass: `export const match = { protocol: 'udp' }; export const onPacket = (packet) => packet.pass();`,
};

/** Has a processor run one of them (or none), as control and a switching process do it. */
export async function runApplication(
  memory: MainMemory,
  processor: SwitchingProcessor,
  which: string,
): Promise<void> {
  if (APPLICATIONS[which] === '') return;
  const module = join(mkdtempSync(join(tmpdir(), 'weir-bench-')), 'application.mjs');
  writeFileSync(module, APPLICATIONS[which]);
  const plan: ApplicationPlan = {
    name: which,
    slot: 0,
    revision: 1,
    module,
    version: '',
    importsFiles: false,
    match: [],
    processors: 'all',
    options: {},
    budgetMicroseconds: 100_000,
    failures: 1_000_000,
    frames: 64,
    whenOff: 'pass',
    services: [],
  };
  const buffer = applicationsBuffer(memory);
  const bytes = Buffer.from(JSON.stringify([plan]));
  memory.bytes.set(bytes, buffer.standbyOffset());
  memory.setHeader(HEADER_APPLICATIONS_LENGTH_A + 1, bytes.length);
  buffer.publish();
  await processor.applications.load(1000);
  if (!processor.applications.isInUse) throw new Error('the application does not run');
}
