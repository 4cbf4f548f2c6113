import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Database, statement } from '../platform/database/database.js';

const WRITE_EVERY_MS = 30_000;

/** In one order on every node, so that two of them cannot deadlock. Ages, so that only the database's clock counts. */
const WRITE = statement(
  'write_api_key_usage',
  `WITH used AS (
     SELECT id, now() - make_interval(secs => age) AS at FROM unnest($1::uuid[], $2::float8[]) AS u (id, age)
   ), locked AS MATERIALIZED (
     SELECT id FROM api_keys WHERE id IN (SELECT id FROM used) ORDER BY id FOR NO KEY UPDATE
   )
   UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
   FROM used JOIN locked USING (id) WHERE k.id = used.id`,
);

/** Remembers when keys were used, and writes it seldom: all in one statement. */
@Injectable()
export class KeyUsage implements OnModuleDestroy {
  private readonly logger = new Logger(KeyUsage.name);
  private used = new Map<string, number>();
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly database: Database) {}

  note(key_id: string): void {
    this.used.set(key_id, performance.now());
    if (this.timer) return;
    this.timer = setTimeout(() => void this.write(), WRITE_EVERY_MS);
    this.timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    await this.write();
  }

  private async write(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const { used } = this;
    if (used.size === 0) return;
    this.used = new Map();
    const now = performance.now();
    const ages = Array.from(used.values(), (at) => (now - at) / 1000);
    await this.database.query(WRITE, [[...used.keys()], ages]).catch((error: Error) => {
      // It is for people to see which keys are not needed any more: the next use will tell.
      this.logger.warn(`When ${used.size} API keys were used could not be written: ${error.message}`);
    });
  }
}
