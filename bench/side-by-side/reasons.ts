// Why an aim is missed, as profiling has shown: text for the document, by the aim's own words. What has
// not been looked into has no reason here, and none is invented.

const REASONS: Readonly<Record<string, string>> = {};

/** The reason, or undefined where none is known. */
export function reasonFor(aim: string): string | undefined {
  return REASONS[aim];
}

/** The aims that have reasons, so that a test can see that each is still an aim. */
export function aimsWithReasons(): string[] {
  return Object.keys(REASONS);
}
