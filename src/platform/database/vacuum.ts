import { Injectable } from '@nestjs/common';
import { Recurring } from '../queues/recurring.decorator.js';
import { Database } from './database.js';

/** Removes dead rows and renews the planner's statistics where no autovacuum runs: the embedded database has none. */
@Injectable()
export class Vacuum {
  private lastWal = '';

  constructor(private readonly database: Database) {}

  @Recurring({ name: 'vacuum_embedded_database', every_ms: () => 600_000 })
  async vacuum(): Promise<void> {
    if (!this.database.is_embedded) return;
    if ((await this.walPosition()) === this.lastWal) return;
    await this.database.query('VACUUM (ANALYZE)');
    this.lastWal = await this.walPosition();
  }

  private async walPosition(): Promise<string> {
    const [row] = await this.database.query<{ wal: string }>('SELECT pg_current_wal_insert_lsn()::text AS wal');
    return row!.wal;
  }
}
