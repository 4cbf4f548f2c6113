import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The log of all that happens, and who has read how far. Append-only: only retention may remove old rows. */
export class CreateEventLog1760000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE events (
        seq bigint GENERATED ALWAYS AS IDENTITY,
        txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        id uuid NOT NULL,
        type text NOT NULL,
        source text NOT NULL CHECK (source IN ('agent', 'user', 'system', 'webhook', 'scheduler')),
        severity text NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
        actor_type text NOT NULL,
        actor_id text,
        project_id uuid,
        agent_id uuid,
        task_id uuid,
        workflow_id uuid,
        run_id uuid,
        hitl_request_id uuid,
        data jsonb NOT NULL,
        metadata jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT pk_events PRIMARY KEY (txid, seq)
      );
      CREATE INDEX ix_events__project_id ON events (project_id, seq DESC) WHERE project_id IS NOT NULL;
      CREATE INDEX ix_events__task_id ON events (task_id, seq DESC) WHERE task_id IS NOT NULL;
      CREATE INDEX ix_events__agent_id ON events (agent_id, seq DESC) WHERE agent_id IS NOT NULL;
      CREATE INDEX ix_events__workflow_id ON events (workflow_id, seq DESC) WHERE workflow_id IS NOT NULL;
      CREATE INDEX ix_events__type ON events (type, seq DESC);

      CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'DELETE' AND current_setting('flightdeck.retention', true) = 'on' THEN
          RETURN NULL;
        END IF;
        RAISE EXCEPTION 'The event log is append-only: % is refused', TG_OP;
      END $$;
      CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change();

      CREATE TABLE event_log_floor (txid xid8 NOT NULL, seq bigint NOT NULL);
      INSERT INTO event_log_floor VALUES ('0', 0);

      CREATE TABLE event_consumers (
        name text NOT NULL,
        txid xid8 NOT NULL,
        seq bigint NOT NULL,
        held_by uuid NOT NULL,
        held_until timestamptz NOT NULL,
        CONSTRAINT pk_event_consumers PRIMARY KEY (name)
      );`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE event_consumers;
      DROP TABLE event_log_floor;
      DROP TABLE events;
      DROP FUNCTION refuse_event_change;`);
  }
}
