// Why a backend has the weight that it has, in words for people and codes for programs: what `weir why`
// prints. The chain goes from the configured weight over the report to the weight in force; each link
// names the figures that it stands on.
//
// Invariant: the first reason is where the weight begins, the last is what came out of it.

import { type Availability, isTaking } from './availability.ts';
import type { Derivation } from './derivation.ts';
import { foreignLoad, IDLE_UTILIZATION } from './even-load.ts';
import { loadTexts, percent, rounded } from './load-figures.ts';
import type { Reason } from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';

type Figures = Readonly<Record<string, string | number | boolean>>;

export function reasonsOf(
  settings: DistributionSettings,
  derivation: Derivation,
  availability: Availability,
): Reason[] {
  const reasons = [beginning(derivation), ...standing(derivation, availability, settings)];
  if (isTaking(derivation.standing)) {
    reasons.push(...report(settings, derivation));
    reasons.push(...movement(settings, derivation));
    reasons.push(...wish(derivation));
    reasons.push(...slowStart(settings, derivation));
  }
  reasons.push(result(derivation));
  return reasons;
}

function reason(code: string, text: string, figures: Figures = {}): Reason {
  return { ...figures, code, text };
}

function beginning({ input, baseWeight }: Derivation): Reason {
  if (input.operatorWeight === undefined) {
    return reason('configured-weight', `configured weight ${rounded(baseWeight)}`, { baseWeight });
  }
  const { configuredWeight } = input;
  const text = `weight ${rounded(baseWeight)} set by the operator, configured is ${configuredWeight}`;
  return reason('operator-weight', text, { baseWeight, configuredWeight });
}

/** What decides whether it takes connections; nothing when it simply does. */
function standing(
  { input, standing: code, wishedFactor, load }: Derivation,
  { healthyCount, candidateCount }: Availability,
  settings: DistributionSettings,
): Reason[] {
  const server = who(input.report, load.ageMs);
  const wished = input.report?.wish;
  switch (code) {
    case 'used':
      if (!input.isFallback) return [];
      return [reason('fallback', 'no other backend can take connections: the fallback does')];
    case 'panic': {
      const counts = `${healthyCount} of ${candidateCount} backends healthy`;
      const text = `${counts}, less than ${percent(settings.panicThreshold)}: all are used, also this one`;
      return [reason('panic', text, { healthyCount, candidateCount, health: input.health })];
    }
    case 'reserve':
      return [reason('reserve', 'a fallback backend; others can take connections')];
    case 'down':
      if (input.health !== 'down') {
        const because = wished?.reason === undefined ? '' : ` (${wished.reason})`;
        return [reason('down', `${server}: says that it is down${because}`)];
      }
      return [reason('down', 'its health checks fail')];
    case 'unchecked':
      return [reason('unchecked', 'its health is not known yet')];
    case 'drain':
    case 'maintenance': {
      const words = code === 'drain' ? 'drained' : 'in maintenance';
      const byServer = input.administrative === 'ready';
      return [reason(code, byServer ? `${server}: asks to be ${words}` : `it is ${words}`)];
    }
    case 'weightless':
      if (wishedFactor !== 0)
        return [reason('weightless', 'a weight of 0 takes no new connection')];
      return [reason('weightless', `${server}: asks for weight 0`)];
  }
}

/** What the newest report says, and what is made of it. */
function report(settings: DistributionSettings, derivation: Derivation): Reason[] {
  const { input, load, takingMs } = derivation;
  if (settings.algorithm === 'static') return [];
  const { ageMs } = load;
  const server = who(input.report, ageMs);
  switch (load.standing) {
    case 'none':
      if (load.estimate !== undefined) break;
      return [reason('no-report', 'no load report: the configured weight stands')];
    case 'expired': {
      if (load.estimate !== undefined) break;
      const text = `${server}: older than ${seconds(settings.expiryMs)}, counts no more`;
      return [reason('expired', text, { ageMs })];
    }
    case 'blackout': {
      const left = seconds(settings.blackoutMs - takingMs);
      return [reason('blackout', `${server}: not used for another ${left}, a newcomer`, { ageMs })];
    }
  }
  if (derivation.wanted === undefined) {
    const text = `${server}: without the figures that ${settings.algorithm} needs`;
    return [reason('no-figures', text, { ageMs })];
  }
  return [
    reason(
      'report',
      `${server}: ${claims(settings, derivation)}, ${beside(settings, derivation)}`,
      {
        ageMs,
        mean: derivation.mean,
      },
    ),
    ...estimates(settings, derivation),
  ];
}

/** The figures of a report that the algorithm looks at; empty when they are not there. */
function claims({ algorithm, errorPenalty }: DistributionSettings, { input, load }: Derivation) {
  // An expired report says nothing any more; what the data plane measured still may.
  const figures = load.standing === 'usable' ? (input.report?.figures ?? {}) : {};
  const { utilization, rate, time } = loadTexts(figures, errorPenalty, input.answerTimeMs);
  if (algorithm === 'least-response-time') return time;
  return algorithm === 'even-load' ? utilization : `${rate} at ${utilization}`;
}

function beside({ algorithm }: DistributionSettings, { mean }: Derivation): string {
  const figure = algorithm === 'least-response-time' ? `${rounded(mean)} ms` : percent(mean);
  return `mean of the servers ${figure}`;
}

function estimates(
  { algorithm, herdGuard }: DistributionSettings,
  derivation: Derivation,
): Reason[] {
  const { estimate } = derivation.load;
  if (estimate === undefined) return [];
  const reasons: Reason[] = [];
  const { utilization, slope, rate, timeMs, carried } = estimate;
  if (algorithm === 'least-response-time') {
    if (timeMs !== undefined) {
      reasons.push(reason('smoothed', `smoothed ${rounded(timeMs)} ms`, { timeMs }));
    }
    return reasons;
  }
  if (utilization === undefined) return reasons;
  if (algorithm === 'capacity' && rate !== undefined) {
    const capacity = rate / (utilization + IDLE_UTILIZATION);
    const text = `smoothed ${rounded(rate)}/s at ${percent(utilization)}: could do ${rounded(capacity)}/s`;
    return [reason('smoothed', text, { rate, utilization, capacity })];
  }
  reasons.push(reason('smoothed', `smoothed ${percent(utilization)}`, { utilization }));
  if (!herdGuard || slope === undefined) return reasons;
  const foreign = foreignLoad({ utilization, slope, carried });
  if (foreign >= 0.1) {
    const text = `of which perhaps ${percent(Math.min(foreign, utilization))} is not from our connections`;
    reasons.push(reason('foreign-load', text, { foreign }));
  }
  const { guarded } = derivation;
  if (guarded !== undefined && Math.abs(guarded - utilization) >= 0.01) {
    const more = rounded(derivation.carried / carried);
    const text = `carries ${more} times what it did then: counted as ${percent(guarded)}`;
    reasons.push(reason('herd-guard', text, { guarded }));
  }
  return reasons;
}

/** From the factor wanted to the one in force. */
function movement(settings: DistributionSettings, derivation: Derivation): Reason[] {
  const { before, wanted, feedback, distrustedBesideMs, baseWeight } = derivation;
  const from = before?.isTaking ? before.feedback : 1;
  const weight = (factor: number) => rounded(factor * baseWeight);
  if (wanted === undefined) {
    if (feedback === 1) return [];
    const text = `on its way back to ${weight(1)}, now ${weight(feedback)}`;
    return [reason('returning', text, { feedback })];
  }
  const reasons: Reason[] = [];
  if (distrustedBesideMs !== undefined) {
    const { answerTimeMs = 0 } = derivation.input;
    const text = `not believed: first answers take ${rounded(answerTimeMs)} ms, elsewhere ${rounded(distrustedBesideMs)} ms`;
    reasons.push(reason('distrusted', text, { answerTimeMs, distrustedBesideMs }));
  }
  const { resting } = derivation;
  if (resting > 0.01) {
    const text = `next to nothing to do: ${percent(resting)} of the way to the configured weight`;
    reasons.push(reason('resting', text, { resting }));
  }
  const limit = limitOf(settings, wanted);
  reasons.push(reason('wanted', `wanted ${weight(wanted)}${limit}`, { wanted }));
  if (feedback === wanted) return reasons;
  if (feedback !== from) {
    const text = `step from ${weight(from)} limited to ${weight(feedback)}`;
    reasons.push(reason('step-limited', text, { from, feedback }));
  } else if (Math.abs(wanted - from) < settings.deadBand * from) {
    const text = `stays ${weight(from)}: differs by less than ${percent(settings.deadBand)}`;
    reasons.push(reason('dead-band', text, { feedback }));
  } else {
    const text = `stays ${weight(from)}: rises only after a new report`;
    reasons.push(reason('awaits-report', text, { feedback }));
  }
  return reasons;
}

function limitOf({ floor, ceiling }: DistributionSettings, wanted: number): string {
  if (wanted >= ceiling) return ', the ceiling';
  return wanted <= floor ? ', the floor' : '';
}

function wish({ input, load, wishedFactor, wish: inForce }: Derivation): Reason[] {
  const wished = input.report?.wish;
  if (wishedFactor === undefined) {
    if (inForce === 1) return [];
    const text = `what it asked for before lapses: ${percent(inForce)} of its weight by now`;
    return [reason('wish-lapses', text, { inForce })];
  }
  const asked =
    wished?.weight === undefined
      ? `${rounded(wished?.weightPercent ?? 100)} %`
      : `${wished.weight}`;
  const limited = wishedFactor === inForce ? '' : `, by steps, now ${percent(inForce)}`;
  const text = `${who(input.report, load.ageMs)}: asks for weight ${asked}${limited}`;
  return [reason('wish', text, { wishedFactor, inForce })];
}

function slowStart({ slowStartMs }: DistributionSettings, derivation: Derivation): Reason[] {
  const { slowStart: start, fullWeight, exactWeight } = derivation;
  if (start === undefined || exactWeight === fullWeight) return [];
  const past = `${seconds(start.elapsedMs)} of ${seconds(slowStartMs)}`;
  const text = `slow start, ${past}: ${rounded(exactWeight)} of ${rounded(fullWeight)}`;
  return [reason('slow-start', text, { elapsedMs: start.elapsedMs, fullWeight })];
}

function result({ isTaking: taking, exactWeight, weight, share }: Derivation): Reason {
  if (!taking) return reason('result', 'takes no new connection', { exactWeight: 0, weight: 0 });
  const text = `weight ${rounded(exactWeight)}, ${(share * 100).toFixed(1)} % of new connections`;
  return reason('result', text, { exactWeight, weight, share });
}

/** 'agent b1, 0.8 s ago'. */
function who(report: Derivation['input']['report'], ageMs: number): string {
  return report === undefined
    ? 'measured here'
    : `${report.source} ${report.identity}, ${seconds(ageMs)} ago`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 99_950 ? 1 : 0)} s`;
}
