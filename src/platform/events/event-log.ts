import { Injectable } from '@nestjs/common';
import { Database, statement } from '../database/database.js';
import { UnitOfWork } from '../database/unit-of-work.js';
import type { LoggedEvent } from './logged-event.js';
import { type Position, START } from './position.js';

const COLUMNS = `e.txid::text, e.seq, e.id, e.type, e.source, e.severity, e.actor_type, e.actor_id, e.project_id,
  e.agent_id, e.task_id, e.workflow_id, e.run_id, e.hitl_request_id, e.created_at,
  CASE WHEN e.type <> ALL ($4::text[]) THEN e.data END AS data,
  CASE WHEN e.type <> ALL ($4::text[]) THEN e.metadata END AS metadata`;

/**
 * A row is settled when no transaction that may still write before it is running. Of those of the types $4 nobody wants
 * to know more.
 */
const READ_AFTER = statement(
  'read_events_after',
  `WITH horizon AS MATERIALIZED (SELECT event_log_horizon() AS xmin)
   SELECT ${COLUMNS}, e.txid < horizon.xmin AS is_settled
   FROM events e, horizon
   WHERE (e.txid, e.seq) > ($1::xid8, $2::bigint)
   ORDER BY e.txid, e.seq
   LIMIT $3`,
);

const END = statement('end_of_events', 'SELECT event_log_horizon()::text AS txid');

const FRONTIER = statement('frontier_of_events', 'SELECT event_log_frontier()::text AS txid');

const FLOOR = statement('floor_of_events', 'SELECT txid::text, seq FROM event_log_floor');

/** Where to go on from a position after which events are missing: retention removed them, or a restore undid them. */
const MISSING_AFTER = statement(
  'missing_after_position',
  `SELECT txid::text, seq FROM (
     SELECT txid, seq FROM event_log_floor WHERE (txid, seq) > ($1::xid8, $2::bigint)
     UNION ALL
     SELECT until_txid, 0 FROM event_log_restores WHERE (from_txid, 0) < ($1::xid8, $2::bigint) AND until_txid > $1::xid8
   ) AS later
   ORDER BY later.txid DESC, later.seq DESC LIMIT 1`,
);

/** How far the log may be forgotten: to $1, but not what a durable consumer has still to read. */
const FORGETTABLE = statement(
  'forgettable_events',
  `SELECT txid::text, seq FROM (
     SELECT $1::xid8 AS txid, $2::bigint AS seq UNION ALL SELECT txid, seq FROM event_consumers
   ) AS reader
   ORDER BY reader.txid, reader.seq LIMIT 1`,
);

const RAISE_FLOOR = statement(
  'raise_floor_of_events',
  'UPDATE event_log_floor SET txid = $1::xid8, seq = $2 WHERE (txid, seq) < ($1::xid8, $2::bigint)',
);

export interface Batch {
  events: LoggedEvent[];
  /** There are later rows that may not be read yet, because an earlier transaction still runs. */
  is_held_back: boolean;
  /** Those rows: they have happened, only their order is open. */
  unsettled: LoggedEvent[];
  /** Nothing that was committed when it was read is missing in both. */
  is_whole: boolean;
}

/** Reads the log in the order in which its transactions became final; see {@link Position}. */
@Injectable()
export class EventLog {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
  ) {}

  /** Events of the types `without_data` have none, which spares reading it. */
  async readAfter({ txid, seq }: Position, limit: number, without_data: readonly string[] = []): Promise<Batch> {
    type Row = LoggedEvent & { is_settled: boolean };
    const rows = await this.database.query<Row>(READ_AFTER, [txid, seq, limit, without_data]);
    const unsettled = rows.findIndex(({ is_settled }) => !is_settled);
    const settled = unsettled < 0 ? rows : rows.slice(0, unsettled);
    const later = unsettled < 0 ? [] : rows.slice(unsettled);
    return {
      events: settled,
      is_held_back: unsettled >= 0,
      unsettled: later,
      is_whole: rows.length < limit,
    };
  }

  /** A position before everything that is yet to come (and before what is just being committed). */
  async end(): Promise<Position> {
    const [row] = await this.database.query<{ txid: string }>(END);
    return { txid: row!.txid, seq: '0' };
  }

  /** A position after everything that anybody has seen, settled or not. */
  async frontier(): Promise<Position> {
    const [row] = await this.database.query<{ txid: string }>(FRONTIER);
    return { txid: row!.txid, seq: '0' };
  }

  /** Everything after this position is still there; before it, retention may have removed rows. */
  async floor(): Promise<Position> {
    const [row] = await this.database.query<Position & Record<string, string>>(FLOOR);
    return row ?? START;
  }

  /** The position from which a reader at `position` may go on, if events after it are missing; else null. */
  async missingAfter({ txid, seq }: Position): Promise<Position | null> {
    const [row] = await this.database.query<Position & Record<string, string>>(MISSING_AFTER, [txid, seq]);
    return row ?? null;
  }

  /**
   * Removes what lies at or before the position, but nothing that a durable consumer has still to read. The only way in
   * which the log ever shrinks. Answers how many events are gone.
   */
  async forget(until: Position): Promise<number> {
    return this.unitOfWork.run(async ({ manager }) => {
      const [end] = await this.database.query<Position & Record<string, string>>(FORGETTABLE, [until.txid, until.seq]);
      const { txid, seq } = end!;
      await manager.query(`SET LOCAL flightdeck.retention = 'on'`);
      const [, count] = (await manager.query('DELETE FROM events WHERE (txid, seq) <= ($1::xid8, $2::bigint)', [
        txid,
        seq,
      ])) as [unknown, number];
      if (count > 0) await this.database.query(RAISE_FLOOR, [txid, seq]);
      return count;
    });
  }
}
