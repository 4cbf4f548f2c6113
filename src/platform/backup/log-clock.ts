import type { PoolClient } from 'pg';

/** More transactions than the lost server can have made after its backup. */
const AHEAD = 2n ** 32n;

/**
 * Moves the log's time on, so that all that comes is after all that was restored, and after all that the lost server
 * wrote since the backup. So positions from before the backup go on working, and those from after it are known as
 * what they are: of a time that never was, up to where the log now begins.
 */
export async function setLogClock(client: PoolClient, horizon: string): Promise<void> {
  const { rows } = await client.query<{ txid: string }>('SELECT pg_current_xact_id()::text AS txid');
  const ours = BigInt(rows[0]!.txid);
  const start = BigInt(horizon) + AHEAD;
  const added = start > ours ? start - ours : 0n;
  const moved = (txid: string): string => (added === 0n ? txid : `(${txid}::text::bigint + ${added})::text::xid8`);
  await client.query(`
    CREATE OR REPLACE FUNCTION event_log_now() RETURNS xid8 LANGUAGE sql STABLE AS $$
      SELECT ${moved('pg_current_xact_id()')} $$;
    CREATE OR REPLACE FUNCTION event_log_horizon() RETURNS xid8 LANGUAGE sql STABLE AS $$
      SELECT ${moved('pg_snapshot_xmin(pg_current_snapshot())')} $$;
    CREATE OR REPLACE FUNCTION event_log_frontier() RETURNS xid8 LANGUAGE sql STABLE AS $$
      SELECT ${moved('pg_snapshot_xmax(pg_current_snapshot())')} $$;`);
  await client.query(
    'INSERT INTO event_log_restores (from_txid, until_txid, restored_at) VALUES ($1::xid8, $2::xid8, now())',
    [horizon, String(ours + added)],
  );
}
