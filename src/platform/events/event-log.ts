import { Injectable } from '@nestjs/common';
import { Database, statement } from '../database/database.js';
import { UnitOfWork } from '../database/unit-of-work.js';
import type { LoggedEvent } from './logged-event.js';
import { isAfter, type Position, START } from './position.js';

const COLUMNS = `e.txid::text, e.seq, e.id, e.type, e.source, e.severity, e.actor_type, e.actor_id, e.project_id,
  e.agent_id, e.task_id, e.workflow_id, e.run_id, e.hitl_request_id, e.data, e.metadata, e.created_at`;

/** A row is settled when no transaction that may still write before it is running. */
const READ_AFTER = statement(
  'read_events_after',
  `WITH horizon AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin)
   SELECT ${COLUMNS}, e.txid < horizon.xmin AS is_settled
   FROM events e, horizon
   WHERE (e.txid, e.seq) > ($1::xid8, $2::bigint)
   ORDER BY e.txid, e.seq
   LIMIT $3`,
);

const END = statement('end_of_events', 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS txid');

const FRONTIER = statement('frontier_of_events', 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS txid');

const FLOOR = statement('floor_of_events', 'SELECT txid::text, seq FROM event_log_floor');

export interface Batch {
  events: LoggedEvent[];
  /** There are later rows that may not be read yet, because an earlier transaction still runs. */
  is_held_back: boolean;
}

/** Reads the log in the order in which its transactions became final; see {@link Position}. */
@Injectable()
export class EventLog {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
  ) {}

  async readAfter(position: Position, limit: number): Promise<Batch> {
    type Row = LoggedEvent & { is_settled: boolean };
    const rows = await this.database.query<Row>(READ_AFTER, [position.txid, position.seq, limit]);
    const unsettled = rows.findIndex(({ is_settled }) => !is_settled);
    const settled = unsettled < 0 ? rows : rows.slice(0, unsettled);
    return { events: settled, is_held_back: unsettled >= 0 };
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

  /** Removes what lies at or before the position: the only way in which the log ever shrinks. */
  async forget(until: Position): Promise<void> {
    await this.unitOfWork.run(async ({ manager }) => {
      await manager.query(`SET LOCAL flightdeck.retention = 'on'`);
      await manager.query('DELETE FROM events WHERE (txid, seq) <= ($1::xid8, $2::bigint)', [until.txid, until.seq]);
      if (isAfter(until, await this.floor())) {
        await manager.query('UPDATE event_log_floor SET txid = $1::xid8, seq = $2', [until.txid, until.seq]);
      }
    });
  }
}
