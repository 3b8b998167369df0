// What was answered to commands lately, by sender and all that was asked, cookie included: a command that comes again, because its answer
// was late or lost, gets the same answer and is not done a second time.
// Invariant: bounded in entries, bytes and age; the oldest go first.

const KEEP_MS = 30_000;
const MOST_ENTRIES = 8192;
const MOST_BYTES = 16 * 1024 * 1024;

interface Reply {
  readonly text: string;
  readonly atMs: number;
}

export class ReplyCache {
  /** In the order in which they came. */
  private readonly replies = new Map<string, Reply>();
  private bytes = 0;

  get size(): number {
    return this.replies.size;
  }

  find(key: string, nowMs: number): string | undefined {
    const found = this.replies.get(key);
    return found !== undefined && ((nowMs - found.atMs) | 0) < KEEP_MS ? found.text : undefined;
  }

  add(key: string, text: string, nowMs: number): void {
    this.remove(key);
    this.replies.set(key, { text, atMs: nowMs });
    this.bytes += key.length + text.length;
    for (const [oldest, { atMs }] of this.replies) {
      const isOver = this.replies.size > MOST_ENTRIES || this.bytes > MOST_BYTES;
      if (!isOver && ((nowMs - atMs) | 0) < KEEP_MS) break;
      this.remove(oldest);
    }
  }

  private remove(key: string): void {
    const found = this.replies.get(key);
    if (found === undefined) return;
    this.bytes -= key.length + found.text.length;
    this.replies.delete(key);
  }
}
