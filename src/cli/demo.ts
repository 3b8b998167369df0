// `weir demo`: builds a network on this machine, puts weir between a client and three servers, kills two
// of its processes under load, and shows that nobody noticed; then it loads one of the servers by another
// program and shows how weir gives it fewer connections until it is alone again. Needs root, or else makes a user
// namespace to be root in. However it ends it takes away what it has made (lab/clean-up.ts).

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Status } from '../control/status-shape.ts';
import { cleanAll, clearLeftovers } from '../lab/clean-up.ts';
import type { LoadReport } from '../lab/http-load-report.ts';
import { privileges } from '../lab/privileges.ts';
import { enterUserNamespace, isInsideOurs } from '../lab/user-namespace.ts';
import { fetchBackends } from './backend-client.ts';
import { HOG_PART, runFeedback } from './demo-feedback.ts';
import { renderFeedback, renderFeedbackLine } from './demo-feedback-view.ts';
import {
  busiest,
  type KillContext,
  type KillEvent,
  killControl,
  killSwitching,
} from './demo-kills.ts';
import { buildLab, type DemoLab, DemoLoad, startApplicationLoad } from './demo-lab.ts';
import { Screen } from './demo-screen.ts';
import {
  type DemoSummary,
  type FeedbackSummary,
  renderSummary,
  summarize,
  summarizeFeedback,
} from './demo-summary.ts';
import {
  eventText,
  failures,
  type Measured,
  type Pair,
  renderLine,
  renderView,
} from './demo-view.ts';
import { fetchStatus } from './status.ts';
import { count, paint, showsColors } from './status-terminal.ts';

export interface DemoOptions {
  /** Seconds of the first part, as given on the command line. */
  readonly duration: string;
  /** File for the summary as JSON. */
  readonly json?: string;
  readonly keep?: boolean;
}

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
const SHORTEST_SECONDS = 3;
const LONGEST_SECONDS = 86_400;
/** Parts of the duration after which the processes are killed. */
const KILL_SWITCHING_AT = 0.4;
const KILL_CONTROL_AT = 0.7;
const REDRAW_MS = 500;
const LINE_MS = 1000;
const TICK_MS = 50;

const colors = paint(showsColors(process.stdout));

/** @returns the exit code: 0 when every request was answered */
export async function demo(options: DemoOptions): Promise<number> {
  const seconds = Number(options.duration);
  if (!(seconds >= SHORTEST_SECONDS && seconds <= LONGEST_SECONDS)) {
    const range = `${SHORTEST_SECONDS} to ${LONGEST_SECONDS}`;
    process.stderr.write(`weir: --duration is a number of seconds from ${range}\n`);
    return EXIT_USAGE;
  }
  const problem = (await enterUserNamespace()) ?? privileges().networkProblem;
  if (problem !== undefined) {
    process.stderr.write(
      `weir: the demo needs network namespaces: ${problem}\n` +
        '  → run it as root, or in a container with --privileged\n',
    );
    return EXIT_FAILURE;
  }
  if (isInsideOurs()) {
    say('not root: everything happens in a user namespace, which ends with the demo');
    if (options.keep === true) say('--keep is for root: nobody outside could look at what is kept');
  }
  clearLeftovers();
  const screen = new Screen(process.stdout);
  closeInTheEnd(screen);
  try {
    const lab = await buildLab(say);
    const summary = await showAll(lab, seconds * 1000, screen);
    process.stdout.write(`\n${renderSummary(summary, colors)}`);
    if (options.json !== undefined) {
      writeFileSync(options.json, `${JSON.stringify(summary, null, 2)}\n`);
    }
    const exitCode = summary.passed ? 0 : EXIT_FAILURE;
    if (options.keep === true && !isInsideOurs()) await keep(lab, exitCode);
    await lab.weir.stop();
    return exitCode;
  } finally {
    screen.close();
    cleanAll();
  }
}

/** Whatever ends us leaves the terminal as it was; ending takes the lab away as well. */
function closeInTheEnd(screen: Screen): void {
  process.once('SIGINT', () => {
    screen.close();
    say('interrupted: the network is taken away');
    process.exit(EXIT_INTERRUPTED);
  });
  process.once('SIGTERM', () => screen.close());
  process.once('SIGHUP', () => screen.close());
}

function say(line: string): void {
  process.stdout.write(`${colors.dim('  …')} ${line}\n`);
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** What the first part leaves for the summary. */
interface KillOutcome {
  readonly report: LoadReport;
  readonly status: Status;
  readonly events: readonly KillEvent[];
  readonly servers: readonly string[];
  readonly serverKind: string;
}

/** Both parts, one after the other. */
async function showAll(lab: DemoLab, durationMs: number, screen: Screen): Promise<DemoSummary> {
  const kills = await new KillPart(lab, durationMs, screen).run();
  const { report, status, events, servers, serverKind } = kills;
  const answered = `${count(report.requests)} requests, ${count(failures(report))} failed`;
  say(`${answered}, while two of weir's processes were killed; now a server is loaded`);
  const feedback = await showFeedback(lab, screen);
  return summarize(report, status, events, servers, serverKind, feedback);
}

async function showFeedback(lab: DemoLab, screen: Screen): Promise<FeedbackSummary> {
  const { weir, applications } = lab;
  const load = startApplicationLoad(lab);
  let shownMs = 0;
  const outcome = await runFeedback({
    load,
    fetch: async () => {
      try {
        return (await fetchBackends(weir.socketPath, 'app')).backends;
      } catch {
        return undefined;
      }
    },
    startHog: () => applications[0].startHog(HOG_PART),
    stopHog: () => applications[0].stopHogs(),
    now: () => performance.now(),
    sleep,
    show: (view) => {
      if (process.stdout.isTTY === true) {
        screen.draw(renderFeedback(view, colors, screen.width));
      } else if (view.elapsedMs - shownMs >= LINE_MS) {
        shownMs = view.elapsedMs;
        process.stdout.write(`${renderFeedbackLine(view)}\n`);
      }
    },
  });
  const samples = await load.stop();
  screen.close();
  return summarizeFeedback(outcome, samples);
}

/** The first part: load, pictures of it, killings. */
class KillPart {
  private readonly lab: DemoLab;
  private readonly durationMs: number;
  private readonly screen: Screen;
  private readonly isTerminal = process.stdout.isTTY === true;
  private readonly events: KillEvent[] = [];
  private readonly killings: Promise<void>[] = [];
  private readonly servers: string[];
  private readonly serverKind: string;
  private startMs = 0;
  private isControlAnswering = true;

  constructor(lab: DemoLab, durationMs: number, screen: Screen) {
    this.lab = lab;
    this.durationMs = durationMs;
    this.screen = screen;
    this.servers = lab.servers.map(({ host }) => host.name);
    this.serverKind = lab.servers[0].kind;
  }

  async run(): Promise<KillOutcome> {
    const first = await fetchStatus(this.lab.weir.socketPath);
    const client = new DemoLoad(this.lab);
    this.startMs = performance.now();
    let status = pairOf(this.measured(first));
    let load = pairOf(this.measured(client.report()));
    let shownMs = 0;
    while (this.elapsedMs() < this.durationMs) {
      await sleep(TICK_MS);
      this.killWhenDue(status.now.value);
      if (this.elapsedMs() - shownMs < (this.isTerminal ? REDRAW_MS : LINE_MS)) continue;
      shownMs = this.elapsedMs();
      const found = await this.fetch();
      if (found !== undefined) status = { before: status.now, now: this.measured(found) };
      const report = client.report();
      load = { before: load.now, now: { atMs: report.elapsedMs, value: report } };
      this.show(load, status);
    }
    await Promise.all(this.killings);
    const report = await client.stop();
    const last = (await this.fetch()) ?? status.now.value;
    this.screen.close();
    const { events, servers, serverKind } = this;
    return { report, status: last, events, servers, serverKind };
  }

  private elapsedMs(): number {
    return performance.now() - this.startMs;
  }

  private measured<Value>(value: Value): Measured<Value> {
    return { atMs: this.elapsedMs(), value };
  }

  private async fetch(): Promise<Status | undefined> {
    try {
      const status = await fetchStatus(this.lab.weir.socketPath);
      this.isControlAnswering = true;
      return status;
    } catch {
      this.isControlAnswering = false;
      return undefined;
    }
  }

  private show(load: Pair<LoadReport>, status: Pair<Status>): void {
    const { durationMs, events, servers, serverKind, isControlAnswering } = this;
    const elapsedMs = this.elapsedMs();
    const subject = { events, servers, serverKind, isControlAnswering };
    const view = { durationMs, elapsedMs, load, status, ...subject };
    if (this.isTerminal) this.screen.draw(renderView(view, colors, this.screen.width));
    else process.stdout.write(`${renderLine(view)}\n`);
  }

  private killWhenDue(status: Status): void {
    const part = this.elapsedMs() / this.durationMs;
    const due = [KILL_SWITCHING_AT, KILL_CONTROL_AT].filter((at) => part >= at).length;
    if (this.killings.length >= due) return;
    const context: KillContext = {
      fetch: () => this.fetch(),
      kill: (pid) => process.kill(pid, 'SIGKILL'),
      now: () => performance.now(),
      sleep,
    };
    if (this.killings.length === 1) {
      this.note('control', killControl(context, status));
      return;
    }
    const processor = busiest(status);
    this.note(`switching ${processor}`, killSwitching(context, processor, status));
  }

  private note(process: string, killing: Promise<number | null>): void {
    const event: KillEvent = { process, atMs: this.elapsedMs(), backAfterMs: null };
    this.events.push(event);
    this.killings.push(
      killing.then((backAfterMs) => {
        event.backAfterMs = backAfterMs;
        if (!this.isTerminal) globalThis.process.stdout.write(`${eventText(event, colors)}\n`);
      }),
    );
  }
}

function pairOf<Value>(measured: Measured<Value>): Pair<Value> {
  return { before: measured, now: measured };
}

/** Leaves everything running until Ctrl-C or SIGTERM. */
async function keep({ weir, network }: DemoLab, exitCode: number): Promise<void> {
  const { client, virtualAddress, switchNamespace } = network;
  process.stdout.write(`
The network and weir go on running until Ctrl-C (or: kill ${process.pid}), which removes them.
  bin/weir status --socket ${weir.socketPath}
  ip netns exec ${client.namespace} curl -i http://${virtualAddress}/
  ps --ppid ${weir.process.pid} -o pid,args   (kill -9 any of them, and ask for the status again)
  ip netns exec ${switchNamespace} ip -brief link
  configuration ${weir.configFile}, log ${join(weir.folder, 'weir.log')}
  after a change of the configuration: bin/weir reload --socket ${weir.socketPath}
`);
  process.removeAllListeners('SIGINT');
  const end = (): never => process.exit(exitCode);
  process.once('SIGINT', end).once('SIGTERM', end);
  await weir.process.exited;
  process.stdout.write('weir has ended\n');
}
