import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Environment } from '../config/environment.js';
import { Database, statement } from '../database/database.js';
import { Recurring } from '../queues/recurring.decorator.js';
import { EventLog } from './event-log.js';
import type { Position } from './position.js';

const BATCH = 2_000;

/**
 * The last of the next $2 events that is older than $1 days together with all before it. It begins at the floor: what
 * was deleted, but not vacuumed yet, need not be looked at again.
 */
const NEXT_TO_FORGET = statement(
  'next_events_to_forget',
  `SELECT txid::text, seq FROM (
     SELECT e.txid, e.seq, bool_and(e.created_at < now() - make_interval(days => $1)) OVER (ORDER BY e.txid, e.seq) AS is_old
     FROM (
       SELECT e.txid, e.seq, e.created_at FROM events e
       WHERE (e.txid, e.seq) > (SELECT txid, seq FROM event_log_floor) AND e.txid < event_log_horizon()
       ORDER BY e.txid, e.seq LIMIT $2
     ) AS e
   ) AS oldest
   WHERE is_old ORDER BY oldest.txid DESC, oldest.seq DESC LIMIT 1`,
);

/** Consumers that have unread events of that age. */
const LAGGING = statement(
  'lagging_consumers',
  `SELECT c.name FROM event_consumers c WHERE (
     SELECT e.created_at FROM events e WHERE (e.txid, e.seq) > (c.txid, c.seq) ORDER BY e.txid, e.seq LIMIT 1
   ) < now() - make_interval(days => $1)`,
);

/** Removes events that are older than EVENT_RETENTION_DAYS, the oldest first, as far as nobody has to read them. */
@Injectable()
export class EventRetention implements OnModuleDestroy {
  private readonly logger = new Logger(EventRetention.name);
  private isStopping = false;

  constructor(
    private readonly environment: Environment,
    private readonly database: Database,
    private readonly log: EventLog,
  ) {}

  onModuleDestroy(): void {
    this.isStopping = true;
  }

  /** Answers how many events were removed. */
  @Recurring({ name: 'event_retention', every_ms: () => 600_000 })
  async removeOld(): Promise<number> {
    const days = this.environment.EVENT_RETENTION_DAYS;
    if (days === 0) return 0;
    let removed = 0;
    for (let count = 1; count > 0 && !this.isStopping; removed += count) count = await this.removeBatch(days);
    if (removed > 0) this.logger.log(`Removed ${removed} events older than ${days} days`);
    const lagging = await this.database.query<{ name: string }>(LAGGING, [days]);
    if (lagging.length > 0) {
      const names = lagging.map(({ name }) => name).join(', ');
      this.logger.warn(`Events older than ${days} days are kept, because they are still to be read by: ${names}`);
    }
    return removed;
  }

  private async removeBatch(days: number): Promise<number> {
    const [until] = await this.database.query<Position & Record<string, string>>(NEXT_TO_FORGET, [days, BATCH]);
    return until ? this.log.forget(until) : 0;
  }
}
