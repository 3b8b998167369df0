// One line that says what goes on and how long it will still take: rewritten in place on a terminal,
// and only when the part changes where nobody watches. To standard error, so that --json stays clean.

const INTERVAL_MS = 1000;
const MINUTE = 60;

export function timeLeft(seconds: number): string {
  if (seconds < MINUTE) return `${Math.max(1, Math.round(seconds))} s left`;
  return `about ${Math.round(seconds / MINUTE)} min left`;
}

export class Progress {
  readonly #isTerminal = process.stderr.isTTY === true;
  #timer: NodeJS.Timeout | undefined;
  #part = '';
  #text = '';
  #partBegan = 0;
  #partSeconds = 0;
  #laterSeconds = 0;

  /** @param laterSeconds of all parts that come after this one */
  begin(part: string, partSeconds: number, laterSeconds: number): void {
    this.#part = part;
    this.#text = '';
    this.#partBegan = performance.now();
    this.#partSeconds = partSeconds;
    this.#laterSeconds = laterSeconds;
    if (!this.#isTerminal) process.stderr.write(`${part} (${this.#left()})\n`);
    else this.#timer ??= setInterval(() => this.#show(), INTERVAL_MS).unref();
  }

  say(text: string): void {
    this.#text = text;
    this.#show();
  }

  /** Leaves the line free. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#isTerminal) process.stderr.write('\r\x1b[K');
  }

  #left(): string {
    const gone = (performance.now() - this.#partBegan) / 1000;
    return timeLeft(Math.max(0, this.#partSeconds - gone) + this.#laterSeconds);
  }

  #show(): void {
    if (!this.#isTerminal) return;
    const columns = process.stderr.columns ?? 80;
    const line = `${this.#part} (${this.#left()}): ${this.#text}`;
    process.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
  }
}
