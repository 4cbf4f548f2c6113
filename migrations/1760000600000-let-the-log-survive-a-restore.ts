import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The log's own time. It is the server's transaction id, until a backup is restored: on another server these begin
 * lower than those of the restored events, so the restore adds a constant by replacing these functions. They stay plain
 * expressions, which the planner puts in place: a table would cost a look at every insert.
 */
export class LetTheLogSurviveARestore1760000600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION event_log_now() RETURNS xid8 LANGUAGE sql STABLE AS $$
        SELECT pg_current_xact_id() $$;
      CREATE FUNCTION event_log_horizon() RETURNS xid8 LANGUAGE sql STABLE AS $$
        SELECT pg_snapshot_xmin(pg_current_snapshot()) $$;
      CREATE FUNCTION event_log_frontier() RETURNS xid8 LANGUAGE sql STABLE AS $$
        SELECT pg_snapshot_xmax(pg_current_snapshot()) $$;
      ALTER TABLE events ALTER COLUMN txid SET DEFAULT event_log_now();

      -- Positions from from_txid up to until_txid speak of what happened after a backup that was restored.
      CREATE TABLE event_log_restores (
        from_txid xid8 NOT NULL,
        until_txid xid8 NOT NULL,
        restored_at timestamptz NOT NULL,
        CONSTRAINT pk_event_log_restores PRIMARY KEY (from_txid)
      );`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DO $$ BEGIN
        IF EXISTS (SELECT FROM event_log_restores) THEN
          RAISE EXCEPTION 'This database was restored from a backup: without this migration its events lose their order';
        END IF;
      END $$;
      DROP TABLE event_log_restores;
      ALTER TABLE events ALTER COLUMN txid SET DEFAULT pg_current_xact_id();
      DROP FUNCTION event_log_now;
      DROP FUNCTION event_log_horizon;
      DROP FUNCTION event_log_frontier;`);
  }
}
