import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Database, statement } from '../platform/database/database.js';

/** Node's timers take no more. */
const LONGEST_TIMER_MS = 2_000_000_000;

const NEXT_READY = statement(
  'next_ready_task',
  `SELECT extract(epoch FROM min(ready_at) - now())::float8 * 1000 AS ms FROM tasks
   WHERE status = 'pending' AND ready_at > '-infinity' AND ready_at > now()`,
);

/** Tells when the next task becomes ready by itself: after its back-off, or at its scheduled time. */
@Injectable()
export class NextReady implements OnModuleDestroy {
  private timer: NodeJS.Timeout | null = null;
  private firesAt = Infinity;
  private first: Promise<void> | null = null;
  private isStopped = false;
  private onReady: () => void = () => undefined;

  constructor(private readonly database: Database) {}

  /** From the first call on, the listener is called at each such moment. Resolves once that is so. */
  watch(onReady: () => void): Promise<void> {
    this.onReady = onReady;
    return (this.first ??= this.ask());
  }

  /** A task will be ready in so many milliseconds. */
  expect(ms: number): void {
    if (this.first) this.set(ms);
  }

  onModuleDestroy(): void {
    this.isStopped = true;
    if (this.timer) clearTimeout(this.timer);
  }

  private set(ms: number): void {
    const at = performance.now() + ms;
    if (at >= this.firesAt || this.isStopped) return;
    if (this.timer) clearTimeout(this.timer);
    this.firesAt = at;
    this.timer = setTimeout(() => void this.fire(), Math.min(LONGEST_TIMER_MS, Math.max(1, Math.ceil(ms)))).unref();
  }

  /** First asks what comes next, then tells: so that nothing becomes ready unnoticed in between. */
  private async fire(): Promise<void> {
    this.firesAt = Infinity;
    await this.ask();
    this.onReady();
  }

  private async ask(): Promise<void> {
    try {
      const [row] = await this.database.query<{ ms: number | null }>(NEXT_READY);
      if (row?.ms != null) this.set(row.ms);
    } catch {
      // The database is away: look again soon.
      this.set(1_000);
    }
  }
}
