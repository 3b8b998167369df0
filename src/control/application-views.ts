// Makes what `GET /v1/applications` answers (application-view.ts) of the plans and of what the switching
// processors have counted in main memory. Reads only; a figure may be a packet behind.
// Invariant: counts of a revision that a processor has not set up yet are not taken for this one's state.

import type { ApplicationPlan } from '../base/application-plan.ts';
import {
  APPLICATION_STATES,
  ApplicationShare,
  SHARE_FAILURES,
  SHARE_FRAMES,
  SHARE_LONGEST,
  SHARE_OVERRUNS,
  SHARE_REVISION,
  SHARE_STATE,
  TALLIES,
  type Tally,
} from '../memory/application-memory.ts';
import type { MainMemory } from '../memory/region.ts';
import type {
  ApplicationCounts,
  ApplicationOnProcessor,
  ApplicationView,
} from './application-view.ts';

/** All applications that are in force, in the order of the configuration. */
export function applicationViews(
  memory: MainMemory,
  plans: readonly ApplicationPlan[],
): ApplicationView[] {
  return plans.map((plan) => {
    const count = plan.processors === 'one' ? 1 : memory.layout.processors;
    const processors = Array.from({ length: count }, (_, p) => onProcessor(memory, plan, p));
    const worst = Math.max(...processors.map(({ state }) => APPLICATION_STATES.indexOf(state)));
    const isLoaded = processors.every(({ state }) => state !== 'not loaded');
    return {
      name: plan.name,
      module: plan.module,
      revision: plan.revision,
      state: worst > 1 || isLoaded ? APPLICATION_STATES[worst] : 'not loaded',
      budgetMicroseconds: plan.budgetMicroseconds,
      failureLimit: plan.failures,
      frameLimit: plan.frames,
      totals: processors.map(countsOf).reduce(added),
      processors,
    };
  });
}

function onProcessor(
  memory: MainMemory,
  plan: ApplicationPlan,
  processor: number,
): ApplicationOnProcessor {
  const share = new ApplicationShare(memory, plan.slot, processor);
  const isPresent = share.word(SHARE_REVISION) === plan.revision;
  const tallies = Object.fromEntries(TALLIES.map((name, i) => [name, share.tally(i)]));
  return {
    processor,
    state: (isPresent && APPLICATION_STATES[share.word(SHARE_STATE)]) || 'not loaded',
    ...(tallies as Record<Tally, number>),
    exceptions: share.word(SHARE_FAILURES),
    overruns: share.word(SHARE_OVERRUNS),
    framesInHand: share.word(SHARE_FRAMES),
    longestMicroseconds: share.word(SHARE_LONGEST),
    lastError: share.error(),
    counters: share.namedCounters(),
  };
}

function countsOf(one: ApplicationOnProcessor): ApplicationCounts {
  const { processor: _, state: __, longestMicroseconds: ___, lastError: ____, ...counts } = one;
  return counts;
}

function added(one: ApplicationCounts, other: ApplicationCounts): ApplicationCounts {
  const { counters, ...numbers } = one;
  const sums = Object.entries(numbers).map(([name, value]) => {
    return [name, value + other[name as keyof typeof numbers]];
  });
  const names = [...Object.keys(counters), ...Object.keys(other.counters)];
  const named = [...new Set(names)].map((name) => {
    return [name, (counters[name] ?? 0) + (other.counters[name] ?? 0)];
  });
  return { ...Object.fromEntries(sums), counters: Object.fromEntries(named) };
}
