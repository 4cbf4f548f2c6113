const PAUSE_MS = 10_000;

/** Warns at most once in a while: what stays wrong would fill the log with the same line. */
export class SeldomWarning {
  private warnedAt = -Infinity;

  constructor(private readonly logger: { warn: (message: string) => void }) {}

  warn(message: string): void {
    if (performance.now() - this.warnedAt < PAUSE_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn(message);
  }
}
