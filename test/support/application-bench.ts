// Applications on the bench of a whole switch (switch-bench.ts): plans written into main memory as the
// control processor does it, and modules that are written for the test and loaded as any user's are.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApplicationPlan } from '../../src/base/application-plan.ts';
import { ApplicationShare, applicationsBuffer } from '../../src/memory/application-memory.ts';
import { configurationBuffer } from '../../src/memory/double-buffer.ts';
import {
  APPLICATIONS_TEXT_SIZE,
  HEADER_APPLICATIONS_LENGTH_A,
  MAX_SERVICES,
} from '../../src/memory/layout.ts';
import type { MainMemory } from '../../src/memory/region.ts';
import * as table from '../../src/tables/configuration-table.ts';
import { parseAddress } from '../../src/wire/ipv4.ts';
import type { SwitchBench } from './switch-bench.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-applications-'));
let modules = 0;

/** Writes a module. @returns its path */
export function moduleFile(text: string): string {
  modules += 1;
  const path = join(folder, `application-${modules}.mjs`);
  writeFileSync(path, text);
  return path;
}

/** A plan with what a test does not care about filled in. */
export function planOf(part: Partial<ApplicationPlan> & { readonly module: string }) {
  const plan: ApplicationPlan = {
    name: 'test',
    slot: 0,
    revision: 1,
    version: 'file',
    importsFiles: false,
    match: [],
    processors: 'all',
    options: {},
    budgetMicroseconds: 500_000,
    failures: 3,
    frames: 8,
    whenOff: 'pass',
    services: [],
    ...part,
  };
  return plan;
}

/** Puts plans into force, as control does, without any processor having looked. */
export function writePlans(memory: MainMemory, plans: readonly ApplicationPlan[]): void {
  const buffer = applicationsBuffer(memory);
  const bytes = Buffer.from(JSON.stringify(plans));
  if (bytes.length > APPLICATIONS_TEXT_SIZE) throw new Error('the plans are too large');
  memory.bytes.set(bytes, buffer.standbyOffset());
  const standby = (buffer.generation() + 1) & 1;
  memory.setHeader(HEADER_APPLICATIONS_LENGTH_A + standby, bytes.length);
  buffer.publish();
}

/** Puts plans into force and has every processor load them. */
export async function runApplications(
  bench: SwitchBench,
  ...plans: readonly ApplicationPlan[]
): Promise<void> {
  writePlans(bench.memory, plans);
  for (const processor of bench.processors) await processor.applications.load(bench.now);
}

export function shareOf(bench: SwitchBench, slot = 0, processor = 0): ApplicationShare {
  return new ApplicationShare(bench.memory, slot, processor);
}

/** A service of the bench as a plan names it, with its backends called b1, b2 … by their order. */
export function serviceAt(
  bench: SwitchBench,
  name: string,
  address: string,
  port: number,
  protocol: number,
): ApplicationPlan['services'][number] {
  const { words } = bench.memory;
  const buffer = configurationBuffer(bench.memory);
  const base = buffer.activeOffset(buffer.generation()) >> 2;
  const id = table.findService(words, base, parseAddress(address), port, protocol);
  if (id < 0 || id >= MAX_SERVICES) throw new Error(`the bench has no service ${name}`);
  const count = table.serviceBackendCount(words, base, id);
  const backends = Array.from({ length: count }, (_, n) => ({
    name: `b${n + 1}`,
    id: table.serviceBackend(words, base, id, n),
  }));
  return { name, id, address: parseAddress(address), port, protocol, backends };
}
