// The resource manager (52 in the seeds): takes the load reports of agents and asks the servers that do
// not report by themselves, and hands over to the master what it has checked. It runs in the control
// processor, or as a program of its own on another host (program.ts); the two differ in the sink only.
//
//   agents ── signed UDP ──▶ UdpReceiver ▶ ReportIntake ─┐
//   servers ◀─ ORCA, agent-check, node_exporter sources ─┴▶ checked figures ▶ sink
//
// Invariant: a report in the sink has figures within their limits, is about a backend that its sender may
// speak for, and has a sequence that rises with each report about that backend. Memory is bounded by the
// settings, whatever arrives.

import type { LoadReport, LoadSource, LoadWish, ReportSink } from '../load/load-report.ts';
import { isRejection } from '../load/rejections.ts';
import { checkContent } from '../load/report-limits.ts';
import type { WishMemory } from './agent-check-source.ts';
import { BoundedLog } from './bounded-log.ts';
import { occurred, RejectionJournal } from './rejection-journal.ts';
import { agentSubject, ReportIntake } from './report-intake.ts';
import { RunningSource, type SourceStatistics } from './running-source.ts';
import {
  type ManagerLog,
  type PolledSettings,
  type ResourceManagerSettings,
  serverName,
} from './settings.ts';
import { UdpReceiver } from './udp-receiver.ts';

export interface ResourceManagerOptions {
  readonly sink: ReportSink;
  readonly log: ManagerLog;
  /** Monotonic milliseconds, performance.now: the clock of `receivedAtMs`. */
  now(): number;
  /** Milliseconds since 1970, Date.now: what agents' clocks are compared with. */
  wallNow(): number;
  /** 0 to 1, for jitter. Default Math.random. */
  random?(): number;
}

export interface AgentStatistics {
  readonly name: string;
  readonly backends: readonly string[];
  readonly accepted: number;
  /** By reason; only those that have occurred. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Since its last accepted report; null before the first. */
  readonly lastReportAgeMs: number | null;
  readonly bootId: string | null;
  readonly sequence: number | null;
}

export interface ResourceManagerStatistics {
  /** Where agents' reports are received; null when no agent can report. */
  readonly listen: {
    readonly address: string;
    readonly port: number;
    readonly error?: string;
  } | null;
  /** Reports handed to the sink, of all sources. */
  readonly accepted: number;
  /** All that was rejected, by reason; only those that have occurred. */
  readonly rejected: Readonly<Record<string, number>>;
  readonly agents: readonly AgentStatistics[];
  readonly sources: readonly SourceStatistics[];
}

export class ResourceManager {
  private readonly options: ResourceManagerOptions;
  private readonly log: BoundedLog;
  private readonly journal: RejectionJournal;
  private readonly intake: ReportIntake;
  private readonly sources = new Map<string, RunningSource>();
  private readonly wishes: WishMemory = new Map();
  private readonly sequences = new Map<string, number>();
  private receiver: UdpReceiver | undefined;
  private settings: ResourceManagerSettings;
  private accepted = 0;
  private isRunning = false;

  constructor(settings: ResourceManagerSettings, options: ResourceManagerOptions) {
    this.options = options;
    this.settings = settings;
    const now = () => options.now();
    this.log = new BoundedLog(options.log, now);
    this.journal = new RejectionJournal(this.log, now);
    this.intake = new ReportIntake(
      {
        now,
        wallNow: () => options.wallNow(),
        accept: (agent, { backend, figures, wish }) => {
          this.handOver({ backend, source: 'agent', identity: agent, figures, wish });
        },
      },
      this.journal,
    );
  }

  /** What servers had asked for when a predecessor was killed: only they can take it back. Before the start. */
  remember(reports: readonly LoadReport[]): void {
    for (const { backend, source, wish } of reports) {
      if (source === 'agent-check' && wish !== undefined) this.wishes.set(backend, wish);
    }
  }

  /** Opens the socket and starts asking. What cannot be opened is logged and tried again. */
  async start(): Promise<void> {
    this.isRunning = true;
    await this.update(this.settings);
  }

  /** Takes over other settings: what has not changed goes on, with its sequences, counts and states. */
  async update(settings: ResourceManagerSettings): Promise<void> {
    const before = this.settings.listen;
    this.settings = settings;
    this.intake.update(settings.agents, settings.reportsPerSecond);
    const agents = settings.agents.map(({ name }) => agentSubject(name));
    this.journal.keepOnly(new Set([...agents, ...settings.polled.map(sourceName)]));
    this.forgetOthers(settings);
    if (!this.isRunning) return;
    this.updateSources(settings);
    const { listen } = settings;
    const isSame = before?.address === listen?.address && before?.port === listen?.port;
    if (isSame && this.receiver !== undefined) return;
    this.receiver?.close();
    this.receiver = undefined;
    if (listen === undefined) return;
    this.receiver = new UdpReceiver(
      listen,
      (datagram, address) => this.intake.receive(datagram, address),
      this.log,
    );
    await this.receiver.open();
  }

  stop(): void {
    this.isRunning = false;
    this.receiver?.close();
    this.receiver = undefined;
    for (const source of this.sources.values()) source.stop();
    this.sources.clear();
  }

  statistics(): ResourceManagerStatistics {
    const nowMs = this.options.now();
    const { listen } = this.settings;
    const port = this.receiver?.port ?? listen?.port ?? 0;
    const error = this.receiver?.error;
    return {
      listen: listen === undefined ? null : { ...listen, port, ...(error && { error }) },
      accepted: this.accepted,
      rejected: occurred(this.journal.counts),
      agents: [...this.intake.states()].map((state) => ({
        name: state.settings.name,
        backends: state.settings.backends,
        accepted: state.accepted,
        rejected: occurred(state.rejected),
        lastReportAgeMs: ageMs(state.lastAcceptedAtMs, nowMs),
        bootId: state.bootId ?? null,
        sequence: state.bootId === undefined ? null : state.sequence,
      })),
      sources: [...this.sources.values()].map((source) => source.statistics(nowMs)),
    };
  }

  private updateSources(settings: ResourceManagerSettings): void {
    // What a source was started with: another rate, too, starts it anew.
    const keyOf = (polled: PolledSettings) => JSON.stringify([polled, settings.reportsPerSecond]);
    const wanted = new Map(settings.polled.map((polled) => [keyOf(polled), polled]));
    for (const [key, source] of this.sources) {
      if (wanted.has(key)) continue;
      source.stop();
      this.sources.delete(key);
    }
    for (const [key, polled] of wanted) {
      if (!this.sources.has(key)) this.sources.set(key, this.startSource(polled));
    }
  }

  private startSource(settings: PolledSettings): RunningSource {
    const subject = sourceName(settings);
    const { backend, source } = settings;
    return new RunningSource(settings, {
      now: () => this.options.now(),
      random: () => (this.options.random ?? Math.random)(),
      log: this.log,
      reportsPerSecond: this.settings.reportsPerSecond,
      wishes: this.wishes,
      rejected: (rejection) => this.journal.rejected(subject, rejection),
      accept: (figures, wish) => {
        const content = checkContent(figures, wish);
        if (isRejection(content)) {
          this.journal.rejected(subject, content);
          return false;
        }
        this.journal.accepted(subject);
        this.handOver({ backend, source, identity: serverName(settings), ...content });
        return true;
      },
    });
  }

  private handOver(content: {
    backend: string;
    source: LoadSource;
    identity: string;
    figures: LoadReport['figures'];
    wish?: LoadWish;
  }): void {
    const sequence = (this.sequences.get(content.backend) ?? 0) + 1;
    this.sequences.set(content.backend, sequence);
    this.accepted++;
    this.options.sink.accept({ ...content, sequence, receivedAtMs: this.options.now() });
  }

  /** Of backends that nobody speaks for any more, nothing is kept. */
  private forgetOthers({ agents, polled }: ResourceManagerSettings): void {
    const spokenFor = new Set(agents.flatMap(({ backends }) => backends));
    const checked = new Set<string>();
    for (const { backend, source } of polled) {
      spokenFor.add(backend);
      if (source === 'agent-check') checked.add(backend);
    }
    for (const backend of this.sequences.keys()) {
      if (!spokenFor.has(backend)) this.sequences.delete(backend);
    }
    for (const backend of this.wishes.keys()) {
      if (!checked.has(backend)) this.wishes.delete(backend);
    }
  }
}

/** A polled server in the log and the journal. */
function sourceName(settings: PolledSettings): string {
  return `${settings.source} ${serverName(settings)} (${settings.backend})`;
}

function ageMs(atMs: number | undefined, nowMs: number): number | null {
  return atMs === undefined ? null : Math.round(nowMs - atMs);
}
