// Loads the applications that the plans in main memory ask for (base/application-plan.ts): takes their
// modules, which may be any file, sets them up, and keeps those whose plan has not changed. The only part
// of a switching processor that waits for anything: main.ts goes on switching meanwhile, a turn between
// any two pieces of it, with the applications as they were before.
//
// Invariant: what cannot be loaded, or throws while it is set up, does not run, and its share of main
// memory says why; nothing else is the worse for it. One that this processor was killed in, because it hung,
// or that it ended in, is off in all processors until its plan has another revision. What is to be dropped
// without its application is dropped while that is not there yet.

import type { Application } from '../apps/contract.ts';
import { createDns } from '../apps/dns/dns.ts';
import { createMediaRelay } from '../apps/media-relay/media-relay.ts';
import type { ApplicationPlan, BuiltinApplication } from '../base/application-plan.ts';
import {
  APPLICATION_BROKEN,
  APPLICATION_CRASHED,
  APPLICATION_FAILED,
  APPLICATION_HUNG,
  APPLICATION_NONE,
  APPLICATION_RUNS,
  ApplicationShare,
  applicationsBuffer,
  SHARE_REVISION,
  SHARE_STATE,
} from '../memory/application-memory.ts';
import type { DoubleBuffer } from '../memory/double-buffer.ts';
import {
  HEADER_APPLICATIONS_LENGTH_A,
  MAX_APPLICATIONS,
  PROCESSOR_APPLICATION,
  PROCESSOR_DIED_AT,
  PROCESSOR_ENDED_ITSELF,
  PROCESSOR_HEARTBEAT,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { Host, type HostParts } from './application-host.ts';
import { importApplication, inTime, OBSOLETE } from './application-import.ts';
import { compileMatches } from './application-rules.ts';
import { LoadedApplication, type Report } from './loaded-application.ts';
import { textOf } from './thrown.ts';

/** A process that had shown no turn for so long when it was found dead was killed for it. */
const HUNG_MS = 1500;
/** The processor on which an application runs that is to run on one. */
const THE_ONE = 0;
/** A module that has not been imported and set up by then is broken. */
const LOADING_MAX_MS = 10_000;

const BUILTIN: Readonly<Record<BuiltinApplication, () => Application>> = {
  dns: createDns,
  'media-relay': createMediaRelay,
};

function isSame({ revision, slot }: ApplicationPlan, old: LoadedApplication): boolean {
  return old.plan.revision === revision && old.plan.slot === slot && !old.isPlaceholder;
}

/** Applications that the process before this one was in when it ended, and what is to be said of them. */
interface Verdict {
  readonly slot: number;
  readonly state: number;
  readonly text: string;
}

export class ApplicationLoader {
  /** In the order of the configuration, those that are switched off included. */
  loaded: readonly LoadedApplication[] = [];
  /** Whether there are plans that have not been looked at: main.ts asks after every turn. */
  isStale: boolean;
  /** Told when an application is loaded or switched off. */
  report: Report = () => {};
  /** Told before the first module is imported that is not part of weir. */
  beforeOthersCode: () => void = () => {};
  limitMs = LOADING_MAX_MS;
  /** Place, counted from 1, of the application that is being loaded; 0: none. */
  loadingMark = 0;
  /** The one whose `setup` is under way. */
  beingSetUp: LoadedApplication | undefined;
  private readonly parts: HostParts;
  private readonly memory: MainMemory;
  private readonly plans: DoubleBuffer;
  /** The plans that were loaded last; 0: none yet. */
  private generation = 0;
  private verdict: Verdict | undefined;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.memory = parts.memory;
    this.plans = applicationsBuffer(parts.memory);
    this.verdict = this.findVerdict();
    this.forgetRunning();
    // After a restart they are there before the first packet is.
    this.isStale = this.plans.generation() !== 0;
  }

  /** What ran in the process before this one does not run in this one yet. */
  private forgetRunning(): void {
    for (let slot = 0; slot < MAX_APPLICATIONS; slot++) {
      const share = new ApplicationShare(this.memory, slot, this.parts.processor);
      if (share.word(SHARE_STATE) === APPLICATION_RUNS)
        share.setWord(SHARE_STATE, APPLICATION_NONE);
    }
  }

  /** Whether the process before this one ended in an application, and how. */
  private findVerdict(): Verdict | undefined {
    const { memory, parts } = this;
    const read = (word: number) => memory.words[memory.processorWord(parts.processor, word)];
    const mark = read(PROCESSOR_APPLICATION);
    if (mark < 1 || mark > MAX_APPLICATIONS) return undefined;
    const slot = mark - 1;
    if (read(PROCESSOR_ENDED_ITSELF) === 1) {
      const text = 'a switching processor ended in it';
      return { slot, state: APPLICATION_CRASHED, text };
    }
    const silentMs = (read(PROCESSOR_DIED_AT) - read(PROCESSOR_HEARTBEAT)) | 0;
    if (silentMs < HUNG_MS) return undefined;
    const text = 'a switching processor hung in it and was killed';
    return { slot, state: APPLICATION_HUNG, text };
  }

  /** @hot */
  lookForPlans(): void {
    if (this.plans.generation() !== this.generation) this.isStale = true;
  }

  /**
   * Loads what is new or has changed, one after the other, and lets go of what is not asked for any more.
   * @param changed told when `loaded` is another list
   */
  async load(nowMs: number, changed: () => void): Promise<void> {
    this.isStale = false;
    const plans = this.readPlans();
    const current = new Map(this.loaded.map((each) => [each.plan.name, each]));
    const former = this.loaded.filter((old) => plans.every(({ name }) => name !== old.plan.name));
    const show = () => {
      const wanted = plans.flatMap(({ name }) => current.get(name) ?? []);
      this.loaded = [...wanted, ...former];
      changed();
    };
    for (const plan of plans) {
      if (current.has(plan.name)) continue;
      const guard = this.asOff(plan, this.shareOf(plan), nowMs);
      if (guard === undefined) continue;
      guard.isPlaceholder = true;
      current.set(plan.name, guard);
    }
    show();
    for (const plan of plans) {
      const old = current.get(plan.name);
      if (old !== undefined && isSame(plan, old)) continue;
      // One after the other: whoever hangs here is the one whose mark stands in main memory.
      const loaded = await this.loadOne(plan, nowMs);
      // There are other plans: what was there goes on until they are loaded.
      if (loaded === OBSOLETE) return;
      if (loaded === undefined) current.delete(plan.name);
      else current.set(plan.name, loaded);
      show();
      old?.host.close();
      loaded?.host.showFrames();
    }
    for (const old of former.splice(0)) old.host.close();
    show();
  }

  private shareOf(plan: ApplicationPlan): ApplicationShare {
    return new ApplicationShare(this.memory, plan.slot, this.parts.processor);
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
  ): Promise<LoadedApplication | typeof OBSOLETE | undefined> {
    const share = this.shareOf(plan);
    if (this.isOff(plan, share)) return this.asOff(plan, share, nowMs);
    share.setWord(SHARE_REVISION, plan.revision);
    share.setWord(SHARE_STATE, APPLICATION_NONE);
    share.setError('');
    const host = new Host(this.parts, plan, share);
    this.loadingMark = plan.slot + 1;
    try {
      const work = this.setUp(plan, host, share, nowMs);
      const loaded = await inTime(work, this.limitMs, () => this.isStale);
      if (!loaded.isRunning) return this.asOff(plan, share, nowMs);
      share.setWord(SHARE_STATE, APPLICATION_RUNS);
      this.report(`application ${plan.name} runs`, true);
      return loaded;
    } catch (error) {
      host.close();
      if (error === OBSOLETE) return OBSOLETE;
      share.setError(textOf(error));
      share.setWord(SHARE_STATE, APPLICATION_BROKEN);
      this.report(`application ${plan.name} cannot run: ${textOf(error)}`);
      return this.asOff(plan, share, nowMs);
    } finally {
      this.loadingMark = 0;
      this.beingSetUp = undefined;
    }
  }

  private async setUp(
    plan: ApplicationPlan,
    host: Host,
    share: ApplicationShare,
    nowMs: number,
  ): Promise<LoadedApplication> {
    const application = await this.take(plan);
    const rules = compileMatches(application, plan);
    const { report } = this;
    const loaded = new LoadedApplication(plan, application, host, share, rules, report, nowMs);
    this.beingSetUp = loaded;
    await application.setup?.(host);
    return loaded;
  }

  private async take(plan: ApplicationPlan): Promise<Application> {
    if (plan.module in BUILTIN) return BUILTIN[plan.module as BuiltinApplication]();
    this.beforeOthersCode();
    return importApplication(plan);
  }

  /** Whether this revision of it has been switched off before, by us or by the process before us. */
  private isOff(plan: ApplicationPlan, share: ApplicationShare): boolean {
    if (share.word(SHARE_REVISION) !== plan.revision) return false;
    const { verdict } = this;
    if (verdict?.slot === plan.slot) {
      this.verdict = undefined;
      this.tellAll(plan, verdict.state);
      share.setError(verdict.text);
      this.report(`application ${plan.name} is switched off: ${verdict.text}`);
    }
    return share.word(SHARE_STATE) >= APPLICATION_FAILED;
  }

  /** What has ended one processor would end the others. */
  private tellAll(plan: ApplicationPlan, state: number): void {
    for (let processor = 0; processor < this.memory.layout.processors; processor++) {
      const share = new ApplicationShare(this.memory, plan.slot, processor);
      if (share.word(SHARE_REVISION) === plan.revision) share.setWord(SHARE_STATE, state);
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
