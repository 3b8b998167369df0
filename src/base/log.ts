// Log lines: one event, one line on standard error: time, process, level, what happened. Switching
// processors do not log while they switch (they count); this is for the supervisor, for control, and
// for the start and the end of the others. systemd and every log collector take standard error.

export type LogLevel = 'info' | 'warning' | 'error';

/** Writes lines in the name of one process. */
export class Log {
  private readonly name: string;

  /** `name` as in `ps`, without the prefix: 'supervisor', 'switching 0'. */
  constructor(name: string) {
    this.name = name;
  }

  info(message: string): void {
    this.write('info', message);
  }

  warning(message: string): void {
    this.write('warning', message);
  }

  error(message: string): void {
    this.write('error', message);
  }

  private write(level: LogLevel, message: string): void {
    const time = new Date().toISOString();
    process.stderr.write(`${time} ${this.name.padEnd(12)} ${level.padEnd(7)} ${message}\n`);
  }
}
