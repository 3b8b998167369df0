// What an application has thrown, as one line for people, and which application it was, when nobody can
// know otherwise: a module's address bears both (application-import.ts), so that a stack tells them.
// Invariant: whatever was thrown (null, a proxy, an error whose getters throw), these return and are short.

const TEXT_MAX = 300;
/** Of a text, so much is looked at. */
const LOOK_MAX = 10_000;
/** A place in a module of an application: its file, the application, the line. */
const PLACE = /([^/\\\s(]+)\?application=([^&\s]+)&revision=\d+:(\d+)/;

/** What was thrown and, if it is known, where. */
export function textOf(error: unknown): string {
  try {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const line = text
      .slice(0, LOOK_MAX)
      .replace(/\p{C}+/gu, ' ')
      .slice(0, TEXT_MAX);
    const [, file, , number] = PLACE.exec(stackOf(error)) ?? [];
    return file === undefined ? line : `${line} (${decodeURIComponent(file)}:${number})`;
  } catch {
    return 'something was thrown that has no text';
  }
}

/** The application in whose module it was thrown; empty: nobody knows. */
export function applicationOf(error: unknown): string {
  try {
    return decodeURIComponent(PLACE.exec(stackOf(error))?.[2] ?? '');
  } catch {
    return '';
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? String(error.stack).slice(0, LOOK_MAX) : '';
}
