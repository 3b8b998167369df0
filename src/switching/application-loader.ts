// Loads the applications that the plans in main memory ask for (base/application-plan.ts): takes their
// modules, which may be any file, sets them up, and keeps those whose plan has not changed. The only part
// of a switching processor that waits for anything: main.ts leaves its loop for it, and packets stay in
// the interfaces' rings meanwhile.
//
// Invariant: what cannot be loaded, or throws while it is set up, does not run, and its share of main
// memory says why; nothing else is the worse for it. One that this processor was killed in, because it hung,
// is off in all processors until its plan has another revision.

import { pathToFileURL } from 'node:url';
import type { Application } from '../apps/contract.ts';
import { createDns } from '../apps/dns/dns.ts';
import { createMediaRelay } from '../apps/media-relay/media-relay.ts';
import type { ApplicationPlan, BuiltinApplication } from '../base/application-plan.ts';
import {
  APPLICATION_BROKEN,
  APPLICATION_FAILED,
  APPLICATION_HUNG,
  APPLICATION_NONE,
  APPLICATION_RUNS,
  ApplicationShare,
  applicationsBuffer,
  SHARE_FRAMES,
  SHARE_REVISION,
  SHARE_STATE,
} from '../memory/application-memory.ts';
import type { DoubleBuffer } from '../memory/double-buffer.ts';
import {
  HEADER_APPLICATIONS_LENGTH_A,
  MAX_APPLICATIONS,
  PROCESSOR_APPLICATION,
  PROCESSOR_DIED_AT,
  PROCESSOR_HEARTBEAT,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { Host, type HostParts } from './application-host.ts';
import { compileMatches } from './application-rules.ts';
import { LoadedApplication, type Report, textOf } from './loaded-application.ts';

/** A process that had shown no turn for so long when it was found dead was killed for it. */
const HUNG_MS = 1500;
/** The processor on which an application runs that is to run on one. */
const THE_ONE = 0;

const BUILTIN: Readonly<Record<BuiltinApplication, () => Application>> = {
  dns: createDns,
  'media-relay': createMediaRelay,
};

export class ApplicationLoader {
  /** In the order of the configuration, those that are switched off included. */
  loaded: readonly LoadedApplication[] = [];
  /** Whether there are plans that have not been looked at: main.ts asks after every turn. */
  isStale = false;
  /** Told when an application is loaded or switched off. */
  report: Report = () => {};
  private readonly parts: HostParts;
  private readonly memory: MainMemory;
  private readonly plans: DoubleBuffer;
  /** The plans that were loaded last; 0: none yet. */
  private generation = 0;
  /** Place of the application that the process before hung in; -1: it did not. */
  private hungIn: number;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.memory = parts.memory;
    this.plans = applicationsBuffer(parts.memory);
    this.hungIn = this.findHung();
  }

  /** Whether the process before this one was killed because it hung, and in what. */
  private findHung(): number {
    const { memory, parts } = this;
    const read = (word: number) => memory.words[memory.processorWord(parts.processor, word)];
    const mark = read(PROCESSOR_APPLICATION);
    if (mark < 1 || mark > MAX_APPLICATIONS) return -1;
    const silentMs = (read(PROCESSOR_DIED_AT) - read(PROCESSOR_HEARTBEAT)) | 0;
    return silentMs >= HUNG_MS ? mark - 1 : -1;
  }

  /** @hot */
  lookForPlans(): void {
    if (this.plans.generation() !== this.generation) this.isStale = true;
  }

  async load(nowMs: number): Promise<void> {
    this.isStale = false;
    const plans = this.readPlans();
    const before = new Map(this.loaded.map((each) => [each.plan.name, each]));
    const after: LoadedApplication[] = [];
    for (const plan of plans) {
      const old = before.get(plan.name);
      if (old?.plan.revision === plan.revision && old.plan.slot === plan.slot) {
        before.delete(plan.name);
        after.push(old);
        continue;
      }
      // One after the other: whoever hangs here is the one whose mark stands in main memory.
      const loaded = await this.loadOne(plan, nowMs);
      if (loaded !== undefined) after.push(loaded);
    }
    for (const old of before.values()) old.host.giveAll();
    this.loaded = after;
  }

  /** The plans that are in force, read until they are of one piece. */
  private readPlans(): readonly ApplicationPlan[] {
    const { memory, plans, parts } = this;
    for (;;) {
      const generation = plans.generation();
      const start = plans.activeOffset(generation);
      const length = memory.header(HEADER_APPLICATIONS_LENGTH_A + (generation & 1));
      const text = Buffer.from(memory.buffer, start, length).toString('utf8');
      if (plans.generation() !== generation) continue;
      this.generation = generation;
      if (generation === 0) return [];
      const all = JSON.parse(text) as readonly ApplicationPlan[];
      return all.filter(({ processors }) => processors === 'all' || parts.processor === THE_ONE);
    }
  }

  private async loadOne(
    plan: ApplicationPlan,
    nowMs: number,
  ): Promise<LoadedApplication | undefined> {
    const { memory, parts } = this;
    const share = new ApplicationShare(memory, plan.slot, parts.processor);
    if (this.isOff(plan, share)) return this.asOff(plan, share, nowMs);
    const markWord = memory.processorWord(parts.processor, PROCESSOR_APPLICATION);
    share.setWord(SHARE_REVISION, plan.revision);
    share.setWord(SHARE_FRAMES, 0);
    share.setWord(SHARE_STATE, APPLICATION_NONE);
    share.setError('');
    memory.words[markWord] = plan.slot + 1;
    try {
      const application = await importApplication(plan);
      const rules = compileMatches(application, plan);
      const host = new Host(parts, plan, share);
      const { report } = this;
      const loaded = new LoadedApplication(plan, application, host, share, rules, report, nowMs);
      application.setup?.(host);
      share.setWord(SHARE_STATE, APPLICATION_RUNS);
      this.report(`application ${plan.name} runs`);
      return loaded;
    } catch (error) {
      share.setWord(SHARE_STATE, APPLICATION_BROKEN);
      share.setError(textOf(error));
      this.report(`application ${plan.name} cannot run: ${textOf(error)}`);
      return this.asOff(plan, share, nowMs);
    } finally {
      memory.words[markWord] = 0;
    }
  }

  /** Whether this revision of it has been switched off before, by us or by the process before us. */
  private isOff(plan: ApplicationPlan, share: ApplicationShare): boolean {
    if (share.word(SHARE_REVISION) !== plan.revision) return false;
    if (this.hungIn === plan.slot) {
      this.hungIn = -1;
      this.tellAll(plan);
      share.setError('a switching processor hung in it and was killed');
      this.report(`application ${plan.name} is switched off: the processor hung in it`);
    }
    const state = share.word(SHARE_STATE);
    return state === APPLICATION_HUNG || state === APPLICATION_FAILED;
  }

  /** What has hung here would hang there. */
  private tellAll(plan: ApplicationPlan): void {
    for (let processor = 0; processor < this.memory.layout.processors; processor++) {
      const share = new ApplicationShare(this.memory, plan.slot, processor);
      if (share.word(SHARE_REVISION) === plan.revision) {
        share.setWord(SHARE_STATE, APPLICATION_HUNG);
      }
    }
  }

  /** It does not run; its packets may have to be dropped all the same. */
  private asOff(
    plan: ApplicationPlan,
    share: ApplicationShare,
    nowMs: number,
  ): LoadedApplication | undefined {
    if (plan.whenOff !== 'drop') return undefined;
    const nothing: Application = { match: [], onPacket: () => 0 };
    const rules = compileMatches(nothing, plan);
    const host = new Host(this.parts, plan, share);
    const off = new LoadedApplication(plan, nothing, host, share, rules, this.report, nowMs);
    off.isRunning = false;
    return off;
  }
}

/** A module of its own for every application and every revision: what it keeps is nobody else's. */
async function importApplication(plan: ApplicationPlan): Promise<Application> {
  if (plan.module in BUILTIN) return BUILTIN[plan.module as BuiltinApplication]();
  const url = pathToFileURL(plan.module);
  url.searchParams.set('application', plan.name);
  url.searchParams.set('revision', `${plan.revision}`);
  const module = (await import(url.href)) as { readonly default?: unknown };
  const application = (module.default ?? module) as Partial<Application>;
  if (typeof application.onPacket !== 'function') {
    throw new Error(`${plan.module} exports no function onPacket`);
  }
  if (application.match === undefined && plan.match.length === 0) {
    throw new Error(`${plan.module} exports no match, and the configuration has none`);
  }
  return application as Application;
}
