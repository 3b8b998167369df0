// Why a load report is not accepted: a closed list, each reason with a sentence for operators.
// Reports come over a network from machines that may be broken or in other hands, so a report is
// refused by reason and counted, never an error; the names are an interface (status, metrics,
// docs/reference/load-report.md).
//
// Invariant: a rejected report changes nothing but counters.

/** Every reason with its meaning. Documented in docs/reference/load-report.md; a test compares. */
export const REJECTION_MEANINGS = {
  'too-large': 'The datagram or answer is larger than a report may be; it was not looked at.',
  malformed: 'It is not built as a report of its kind is: wrong beginning, lengths, text or names.',
  'unknown-version': 'The report has a version that this weir does not know.',
  'unknown-agent': 'No agent of that name is in the configuration.',
  'wrong-key': 'The signature was not made with a key of that agent, or the report was changed.',
  replayed: 'A report with this number of this start of the agent has been accepted before.',
  'old-sequence': 'A newer report of the agent was accepted before this one arrived.',
  'clock-skew': "The agent's clock and this one differ by more than is allowed.",
  'wrong-backend': 'The agent may not speak for that backend.',
  'not-a-number': 'A figure is not a number.',
  negative: 'A figure is less than zero.',
  'out-of-range': 'A figure is larger than it can be.',
  'too-many': 'It holds more backends, figures or words than are allowed.',
  'too-often': 'The agent sends more reports per second than are allowed.',
  flood:
    'More datagrams arrive than are looked at, of all senders or of one; it was not looked at.',
} as const;

export type RejectionReason = keyof typeof REJECTION_MEANINGS;

export const REJECTION_REASONS = Object.keys(REJECTION_MEANINGS) as readonly RejectionReason[];

/** A report that was not accepted. */
export interface Rejection {
  readonly rejected: RejectionReason;
  /** What was wrong, in words, for the log; bounded and free of control characters. */
  readonly detail: string;
  /** Who it says it is from; only after 'wrong-key' is passed this is more than a claim. */
  readonly agent?: string;
}

const LONGEST_DETAIL_CHARACTERS = 200;

/** Makes a rejection; what came from the network in `detail` cannot send control sequences to a log. */
export function rejection(rejected: RejectionReason, detail: string, agent?: string): Rejection {
  const shown = printable(detail);
  return agent === undefined ? { rejected, detail: shown } : { rejected, detail: shown, agent };
}

/** Tells a rejection from what would have been the result. */
export function isRejection(result: object): result is Rejection {
  return 'rejected' in result;
}

/** At most 200 characters, control characters shown as '·'. */
export function printable(text: string): string {
  const part = text.slice(0, LONGEST_DETAIL_CHARACTERS);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return part.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\u00b7');
}
