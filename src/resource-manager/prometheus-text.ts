// The text form in which Prometheus exporters show their figures, read as it arrives: one line
// 'name{label="value",…} number [timestamp]' each, '#' before comments. Of thousands of lines only those
// with a wanted name are looked at; the others cost a search for the end of the line.
// Source: Prometheus, "Exposition formats", text format 0.0.4.
// Invariant: keeps at most one line of at most LONGEST_LINE characters; never throws, whatever comes.

/** A longer line is none that we look for; it is left out to its end. */
export const LONGEST_LINE = 4096;

/** Takes one figure. `labels` is what stands between the braces, unparsed. */
export type SampleSink = (name: string, labels: string, value: number) => void;

/** Cuts pieces of text into lines and gives the wanted samples to a sink. */
export class PrometheusText {
  private readonly isWanted: (name: string) => boolean;
  private readonly sink: SampleSink;
  private rest = '';
  private isOverlong = false;

  constructor(isWanted: (name: string) => boolean, sink: SampleSink) {
    this.isWanted = isWanted;
    this.sink = sink;
  }

  /** The next piece, cut anywhere. */
  push(piece: string): void {
    let start = 0;
    for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', start)) {
      this.keep(piece, start, end);
      if (!this.isOverlong) this.line(this.rest);
      this.rest = '';
      this.isOverlong = false;
      start = end + 1;
    }
    this.keep(piece, start, piece.length);
  }

  private keep(piece: string, start: number, end: number): void {
    if (this.isOverlong || start === end) return;
    if (this.rest.length + end - start > LONGEST_LINE) {
      this.isOverlong = true;
      this.rest = '';
    } else {
      this.rest += piece.slice(start, end);
    }
  }

  private line(line: string): void {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+([^ \t\r]+)/.exec(line);
    if (match === null || !this.isWanted(match[1])) return;
    // Number() reads what Go prints but for its names of infinity, which no figure of ours can be.
    const value = Number(match[3]);
    if (Number.isFinite(value)) this.sink(match[1], match[2] ?? '', value);
  }
}

const LABEL = /[ \t]*([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"[ \t]*,?/y;

/**
 * The value of a label; undefined when it is not there, or stands behind what is no label. Escapes are left as
 * they are. Each character is looked at a few times at most, whatever they are.
 */
export function labelValue(labels: string, name: string): string | undefined {
  LABEL.lastIndex = 0;
  for (let match = LABEL.exec(labels); match !== null; match = LABEL.exec(labels)) {
    if (match[1] === name) return match[2];
  }
  return undefined;
}
