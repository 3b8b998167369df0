// What the demo says at its end, for people and as JSON. Pure. It has passed when requests were made,
// every one was answered, no connection broke or changed its server, what was killed came back, and a
// server that was loaded by another program got fewer connections for as long.
// The JSON form is for programs that run the demo as a check; its names do not change lightly.

import type { Status } from '../control/status-shape.ts';
import type { LoadReport } from '../lab/http-load-report.ts';
import { percentile, type RequestSample } from '../lab/open-load-samples.ts';
import type { FeedbackOutcome } from './demo-feedback.ts';
import { feedbackEventText } from './demo-feedback-view.ts';
import type { KillEvent } from './demo-kills.ts';
import { drops, eventText, failures } from './demo-view.ts';
import { bar, count, type Paint, percent, table } from './status-terminal.ts';

const BAR_WIDTH = 24;

export interface DemoSummary {
  readonly passed: boolean;
  readonly seconds: number;
  readonly version: string;
  /** Such as 'af-xdp native copy'. */
  readonly interfaces: string;
  /** 'nginx' or 'node'. */
  readonly serverKind: string;
  readonly requests: number;
  readonly failed: number;
  /** What failed, by errno name or by 'timeout', 'closed' …. */
  readonly failures: Readonly<Record<string, number>>;
  readonly brokenConnections: number;
  readonly movedConnections: number;
  readonly latencyMs: LoadReport['latencyMs'];
  /** The longest time in which the client got no answer at all. */
  readonly longestSilenceMs: number;
  /** Connections that weir has carried. */
  readonly connections: number;
  readonly servers: readonly {
    readonly name: string;
    readonly requests: number;
    readonly share: number;
    readonly connections: number;
  }[];
  readonly packets: Status['totals']['verdicts'] & { readonly received: number };
  readonly processors: readonly {
    readonly processor: number;
    readonly received: number;
    readonly forwarded: number;
    readonly restarts: number;
  }[];
  readonly restarts: readonly KillEvent[];
  readonly drops: Readonly<Record<string, number>>;
  readonly feedback: FeedbackSummary;
}

/** What came of the part in which a server was loaded by another program. */
export interface FeedbackSummary extends FeedbackOutcome {
  readonly passed: boolean;
  readonly requests: number;
  readonly failed: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** It has passed when every request was answered, and the share went away and came back. */
export function summarizeFeedback(
  outcome: FeedbackOutcome,
  samples: readonly RequestSample[],
): FeedbackSummary {
  const failed = samples.filter(({ failure }) => failure !== '').length;
  const hasMoved = outcome.awayAfterMs !== null && outcome.backAfterMs !== null;
  return {
    ...outcome,
    passed: failed === 0 && samples.length > 0 && hasMoved,
    requests: samples.length,
    failed,
    medianMs: percentile(samples, 0.5),
    p99Ms: percentile(samples, 0.99),
  };
}

export function summarize(
  load: LoadReport,
  status: Status,
  events: readonly KillEvent[],
  servers: readonly string[],
  serverKind: string,
  feedback: FeedbackSummary,
): DemoSummary {
  const failed = failures(load);
  const backends = status.services.flatMap((service) => service.backends);
  const [first] = status.interfaces;
  const areBack = events.every((each) => each.backAfterMs !== null);
  return {
    passed: failed === 0 && load.requests > 0 && areBack && feedback.passed,
    seconds: load.elapsedMs / 1000,
    version: status.version,
    interfaces: first === undefined ? '' : `${first.kind} ${first.mode}`,
    serverKind,
    requests: load.requests,
    failed,
    failures: load.failures,
    brokenConnections: load.brokenConnections,
    movedConnections: load.movedConnections,
    latencyMs: load.latencyMs,
    longestSilenceMs: load.longestSilenceMs,
    connections: status.connections.inserted,
    servers: servers.map((name) => {
      const requests = load.perServer[name] ?? 0;
      const connections = backends.find((each) => each.name === name)?.connectionsTotal ?? 0;
      const share = load.requests === 0 ? 0 : requests / load.requests;
      return { name, requests, share, connections };
    }),
    packets: { received: status.totals.received, ...status.totals.verdicts },
    processors: status.processes.switching.map(({ processor, received, forwarded, restarts }) => ({
      processor,
      received,
      forwarded,
      restarts,
    })),
    restarts: events,
    drops: Object.fromEntries(drops(status)),
    feedback,
  };
}

/** The summary as text, ended by a newline. */
export function renderSummary(summary: DemoSummary, colors: Paint): string {
  const lines = [
    ...outcomeLines(summary, colors),
    '',
    ...serverTable(summary, colors),
    '',
    ...processorTable(summary, colors),
    '',
    ...summary.restarts.map((event) => `  ${eventText(event, colors)}`),
    `  the longest time without any answer: ${Math.round(summary.longestSilenceMs)} ms`,
    '',
    `  ${dropText(summary, colors)}`,
    '',
    ...feedbackLines(summary.feedback, colors),
  ];
  return `${lines.join('\n')}\n`;
}

function outcomeLines(summary: DemoSummary, colors: Paint): string[] {
  const { requests, failed, seconds, passed, connections, latencyMs } = summary;
  const all = `${count(requests)} requests in ${seconds.toFixed(1)} s`;
  const outcome =
    failed === 0 && requests > 0
      ? colors.green(`every one of ${all} was answered`)
      : colors.red(`${count(failed)} failures beside ${all}`);
  const rate = seconds > 0 ? requests / seconds : 0;
  const lines = [
    `${passed ? colors.green('✔') : colors.red('✘')} ${outcome}`,
    `  ${count(rate)} requests/s over ${count(connections)} connections; latency ` +
      `${latencyMs.median.toFixed(1)} ms in the middle, ${latencyMs.p99.toFixed(1)} ms for 99 %`,
  ];
  for (const [reason, number] of Object.entries(summary.failures)) {
    lines.push(colors.red(`  ${reason}: ${count(number)}`));
  }
  if (summary.movedConnections > 0) {
    lines.push(colors.red(`  ${count(summary.movedConnections)} connections changed their server`));
  }
  return lines;
}

function feedbackLines(feedback: FeedbackSummary, colors: Paint): string[] {
  const { passed, requests, failed, medianMs, p99Ms, events, lowestShare } = feedback;
  const outcome = `load feedback: ${count(requests)} requests, ${count(failed)} failed`;
  const lines = [
    `${passed ? colors.green('✔') : colors.red('✘')} ${outcome}`,
    `  latency ${count(medianMs)} ms in the middle, ${count(p99Ms)} ms for 99 %; the loaded server's ` +
      `share was ${percent(lowestShare)} at the lowest`,
    ...events.map((event) => `  ${feedbackEventText(event)}`),
  ];
  if (feedback.awayAfterMs === null) lines.push(colors.red('  its share did not fall'));
  else if (feedback.backAfterMs === null) lines.push(colors.red('  its share did not come back'));
  return lines;
}

function serverTable({ servers }: DemoSummary, colors: Paint): string[] {
  const columns = [
    { title: 'SERVER' },
    { title: 'REQUESTS', align: 'right' as const },
    { title: 'SHARE', align: 'right' as const },
    { title: '' },
    { title: 'CONNECTIONS', align: 'right' as const },
  ];
  const rows = servers.map(({ name, requests, share, connections }) => [
    name,
    count(requests),
    percent(share),
    bar(share, BAR_WIDTH, colors),
    count(connections),
  ]);
  // Else the first question is why the requests are not as even as the connections.
  const note = 'connections are what is shared out: one asks once, another again and again';
  return [...table(columns, rows, colors), `  ${colors.dim(note)}`];
}

function processorTable({ processors }: DemoSummary, colors: Paint): string[] {
  const columns = [
    { title: 'PROCESSOR' },
    { title: 'RECEIVED', align: 'right' as const },
    { title: 'FORWARDED', align: 'right' as const },
    { title: 'RESTARTS', align: 'right' as const },
  ];
  const rows = processors.map(({ processor, received, forwarded, restarts }) => [
    `switching ${processor}`,
    count(received),
    count(forwarded),
    count(restarts),
  ]);
  return table(columns, rows, colors);
}

function dropText({ drops: dropped, packets }: DemoSummary, colors: Paint): string {
  const reasons = Object.entries(dropped).map(([reason, number]) => `${reason} ${count(number)}`);
  const title = `dropped: ${count(packets.dropped)} of ${count(packets.received)} packets`;
  return reasons.length === 0 ? title : `${title} ${colors.dim(`(${reasons.join(', ')})`)}`;
}
