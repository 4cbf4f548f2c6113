import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Batch } from '../platform/database/batch.js';
import { sqlStateOf } from '../platform/database/database-error.js';
import { Database, statement } from '../platform/database/database.js';
import { CommitSignal } from '../platform/events/commit-signal.js';
import { eventRow, LOG_EVENTS } from '../platform/events/event-rows.js';
import { type Rest, WokenLoop } from '../platform/events/woken-loop.js';
import { SeldomWarning } from '../platform/logging/seldom.js';
import { AuditRecordsLost, RequestHandled } from './audit.events.js';

/** A row of the event log, on its way there. */
export interface AuditRow {
  id: string;
  request_id: string;
  /** As `eventRow` makes it. */
  json: string;
}

/** A database that does not answer must not keep answers back: from then on the record is kept here. */
const LONGEST_WAIT_MS = 1_000;
/** Characters of all records that are kept while the database is away. */
const MOST_KEPT = 16_777_216;
const ROWS = 200;
/** Live events of the audit may be this late: a look at the log for each would cost more than the records. */
const TELL_EVERY_MS = 50;
const AFTER_FAILURE: Rest = { ms: 1_000, is_firm: true };
const NOTHING_TO_DO: Rest = { ms: 60_000 };

/** SQLSTATE classes of a row's own values: it will never be taken. */
const IS_ABOUT_THE_ROW = /^(22|23|54)/;

/** Those that have been written although nobody heard so. */
const WRITTEN = statement(
  'written_audit_records',
  `SELECT id FROM events
   WHERE type = '${RequestHandled.type}' AND metadata ->> 'request_id' = ANY ($1::text[]) AND id = ANY ($2::uuid[])`,
);

/** Brings records into the log: those of the same moment in one statement, those of a bad moment when it is over. */
@Injectable()
export class AuditWriter implements OnApplicationShutdown {
  private readonly logger = new Logger('Audit');
  private readonly seldom = new SeldomWarning(this.logger);
  // One lane: while a statement is under way, and for a moment after it, the next ones gather.
  private readonly batch = new Batch((rows: AuditRow[]) => this.insert(rows), { most: ROWS, lanes: 1, rest_ms: 4 });
  private readonly loop = new WokenLoop(() => this.catchUp());
  private kept: AuditRow[] = [];
  private keptSize = 0;
  private lost: { count: number; first_at: string; last_at: string } | null = null;
  private isAway = false;
  private telling: NodeJS.Timeout | null = null;

  constructor(
    private readonly database: Database,
    private readonly commits: CommitSignal,
  ) {}

  /** Calls back when the row is in the log, or is kept here because it cannot be written right now. */
  write(row: AuditRow, done: () => void): void {
    if (this.isAway) {
      this.keep(row);
      return done();
    }
    let isDone = false;
    const settle = (): void => {
      clearTimeout(patience);
      if (!isDone) done();
      isDone = true;
    };
    const patience = setTimeout(settle, LONGEST_WAIT_MS);
    this.batch.add(row).then(settle, (error: unknown) => {
      this.noteFailure(row, error);
      settle();
    });
  }

  /** Remembers the row, which follows as soon as the database takes it; beyond the bound it is lost, and counted. */
  keep(row: AuditRow): void {
    if (this.keptSize + row.json.length > MOST_KEPT) return this.lose();
    this.kept.push(row);
    this.keptSize += row.json.length;
    this.loop.wake();
  }

  /** All requests have been answered, and the database is still open. */
  async onApplicationShutdown(): Promise<void> {
    await this.loop.stop();
    if (this.kept.length > 0) await this.catchUp();
    const count = this.kept.length + (this.lost?.count ?? 0);
    if (count > 0)
      this.logger.error(`The server stops without the database: the records of ${count} requests are lost`);
  }

  private async insert(rows: AuditRow[]): Promise<void[]> {
    await this.database.query(LOG_EVENTS, [`[${rows.map(({ json }) => json).join(',')}]`]);
    this.telling ??= setTimeout(() => {
      this.telling = null;
      this.commits.signal();
    }, TELL_EVERY_MS).unref();
    return rows.map(() => undefined);
  }

  private noteFailure(row: AuditRow, error: unknown): void {
    if (IS_ABOUT_THE_ROW.test(sqlStateOf(error))) {
      this.logger.error(`The record of request ${row.request_id} cannot be written`, error);
      return;
    }
    this.isAway = true;
    this.seldom.warn(`Records of requests cannot be written right now and are kept: ${(error as Error).message}`);
    this.keep(row);
  }

  private lose(): void {
    const now = new Date().toISOString();
    this.lost = { count: (this.lost?.count ?? 0) + 1, first_at: this.lost?.first_at ?? now, last_at: now };
    this.seldom.warn(`More requests are answered than can be remembered: ${this.lost.count} records are lost so far`);
  }

  /** Writes what is kept, the oldest first. */
  private async catchUp(): Promise<Rest> {
    try {
      while (this.kept.length > 0) await this.writeKept(this.kept.slice(0, ROWS));
      this.isAway = false;
      if (this.lost) await this.confess(this.lost);
      return NOTHING_TO_DO;
    } catch (error) {
      this.isAway = true;
      this.seldom.warn(`Records of requests still cannot be written: ${(error as Error).message}`);
      return AFTER_FAILURE;
    }
  }

  private async writeKept(rows: AuditRow[]): Promise<void> {
    const known = await this.database.query<{ id: string }>(WRITTEN, [
      rows.map(({ request_id }) => request_id),
      rows.map(({ id }) => id),
    ]);
    const ids = new Set(known.map(({ id }) => id));
    await Promise.all(
      rows
        .filter(({ id }) => !ids.has(id))
        .map((row) =>
          this.batch.add(row).catch((error: unknown) => {
            if (!IS_ABOUT_THE_ROW.test(sqlStateOf(error))) throw error;
            this.logger.error(`The record of request ${row.request_id} cannot be written`, error);
          }),
        ),
    );
    this.kept = this.kept.slice(rows.length);
    for (const { json } of rows) this.keptSize -= json.length;
  }

  /** The log itself says where it has a hole. */
  private async confess({ count, first_at, last_at }: NonNullable<typeof this.lost>): Promise<void> {
    await this.database.query(LOG_EVENTS, [JSON.stringify([eventRow(new AuditRecordsLost(count, first_at, last_at))])]);
    this.lost = null;
  }
}
