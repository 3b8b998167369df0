// Counts what was rejected, by reason, and says so once: the first rejection of a subject (an agent, a
// polled server, or all strangers together) for a reason makes one log line, and the subject is
// not mentioned again until it has been well: reports of it accepted, and none rejected for that
// reason for QUIET_MS. Strangers are never well; they are mentioned again after a longer silence.
// Invariant: bounded by subjects × reasons; the subjects are those of the configuration.

import { REJECTION_REASONS, type Rejection, type RejectionReason } from '../load/rejections.ts';
import type { ManagerLog } from './settings.ts';

/** Without a rejection for this long, an accepted report makes a subject well again. */
export const QUIET_MS = 10_000;
const STRANGERS_QUIET_MS = 600_000;
/** The subject of what comes from nobody we know. */
export const STRANGERS = '';

export type RejectionCounts = Record<RejectionReason, number>;

interface Complaint {
  count: number;
  lastMs: number;
}

/** All reasons, none counted yet. */
export function noRejections(): RejectionCounts {
  return Object.fromEntries(REJECTION_REASONS.map((reason) => [reason, 0])) as RejectionCounts;
}

/** Those that have occurred. */
export function occurred(counts: RejectionCounts): Partial<RejectionCounts> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

export class RejectionJournal {
  /** Everything that was rejected. */
  readonly counts: RejectionCounts = noRejections();
  private readonly log: ManagerLog;
  private readonly now: () => number;
  private readonly open = new Map<string, Map<RejectionReason, Complaint>>();

  constructor(log: ManagerLog, now: () => number) {
    this.log = log;
    this.now = now;
  }

  /** @param subject as it is called in the log, 'agent b1', or STRANGERS */
  rejected(subject: string, rejection: Rejection): void {
    const reason = rejection.rejected;
    const nowMs = this.now();
    this.counts[reason]++;
    let complaints = this.open.get(subject);
    if (complaints === undefined) this.open.set(subject, (complaints = new Map()));
    const complaint = complaints.get(reason);
    const isOver =
      subject === STRANGERS && complaint && nowMs - complaint.lastMs > STRANGERS_QUIET_MS;
    if (complaint !== undefined && !isOver) {
      complaint.count++;
      complaint.lastMs = nowMs;
      return;
    }
    complaints.set(reason, { count: 1, lastMs: nowMs });
    const who = subject === STRANGERS ? 'a report of no known agent' : `a report of ${subject}`;
    this.log.warning(`${who} is rejected: ${reason}: ${rejection.detail}`);
  }

  /** A report of the subject was accepted. */
  accepted(subject: string): void {
    const complaints = this.open.get(subject);
    if (complaints === undefined) return;
    const nowMs = this.now();
    const over: string[] = [];
    for (const [reason, complaint] of complaints) {
      if (nowMs - complaint.lastMs <= QUIET_MS) continue;
      complaints.delete(reason);
      over.push(`${reason} ${complaint.count}×`);
    }
    if (complaints.size === 0) this.open.delete(subject);
    if (over.length === 0) return;
    this.log.info(`reports of ${subject} are again accepted; before: ${over.join(', ')}`);
  }

  /** Forgets the subjects that are not configured any more. */
  keepOnly(subjects: ReadonlySet<string>): void {
    for (const subject of this.open.keys()) {
      if (subject !== STRANGERS && !subjects.has(subject)) this.open.delete(subject);
    }
  }
}
