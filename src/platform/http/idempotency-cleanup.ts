import { Injectable } from '@nestjs/common';
import { Environment } from '../config/environment.js';
import { Database } from '../database/database.js';
import { Recurring } from '../queues/recurring.decorator.js';

/** Forgets the answers of old requests. */
@Injectable()
export class IdempotencyCleanup {
  constructor(
    private readonly database: Database,
    private readonly environment: Environment,
  ) {}

  @Recurring({ name: 'idempotency_cleanup', every_ms: () => 3_600_000 })
  async cleanUp(): Promise<void> {
    await this.database.query('DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1)', [
      this.environment.IDEMPOTENCY_KEEP_HOURS,
    ]);
  }
}
