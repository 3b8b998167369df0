// Draws a page over the one before, on a terminal. The cursor is hidden meanwhile; `close` takes the
// page away and shows the cursor again, and must be called on every way out.
// On anything but a terminal it is not used: the demo prints lines there.

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';

export interface Terminal {
  readonly rows?: number;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Screen {
  private readonly terminal: Terminal;
  private drawn = 0;
  private isOpen = false;

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  /** A terminal that does not know its size says 0. */
  get width(): number {
    return this.terminal.columns || 80;
  }

  /** Draws lines that are no longer than `width`; those that do not fit the height are left out. */
  draw(lines: readonly string[]): void {
    const fitting = lines.slice(0, Math.max(1, (this.terminal.rows || 24) - 1));
    const start = this.isOpen ? '' : HIDE_CURSOR;
    this.isOpen = true;
    // In one write, so that nobody sees half of it.
    const text = fitting.map((line) => `${line}\n`).join('');
    this.terminal.write(`${start}${this.upwards()}${CLEAR_BELOW}${text}`);
    this.drawn = fitting.length;
  }

  /** Takes the page away and shows the cursor again. */
  close(): void {
    if (!this.isOpen) return;
    this.terminal.write(`${this.upwards()}${CLEAR_BELOW}${SHOW_CURSOR}`);
    this.isOpen = false;
    this.drawn = 0;
  }

  /** To the first column as well: what is typed meanwhile, such as ^C, has moved the cursor. */
  private upwards(): string {
    return this.drawn === 0 ? '' : `\r\u001b[${this.drawn}A`;
  }
}
