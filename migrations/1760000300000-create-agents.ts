import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateAgents1760000300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE agents (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        key text,
        name text NOT NULL,
        type text NOT NULL,
        status text NOT NULL,
        description text,
        runner text NOT NULL,
        configuration json NOT NULL,
        max_concurrent_tasks integer NOT NULL,
        project_id uuid,
        tags text[] NOT NULL,
        metadata json NOT NULL,
        is_draining boolean NOT NULL,
        held_tasks integer NOT NULL,
        cancel_requested uuid[] NOT NULL,
        current_task_id uuid,
        current_task_title text,
        tasks_completed integer NOT NULL,
        tasks_failed integer NOT NULL,
        avg_response_time double precision NOT NULL,
        quality_score double precision,
        improvement double precision,
        processing_time_ms double precision NOT NULL,
        error_count integer NOT NULL,
        uptime_override double precision,
        first_seen_at timestamptz,
        last_seen_at timestamptz,
        online_since timestamptz,
        online_seconds double precision NOT NULL,
        last_heartbeat timestamptz,
        last_activity timestamptz,
        CONSTRAINT pk_agents__id PRIMARY KEY (id),
        CONSTRAINT uq_agents__key UNIQUE (key),
        CONSTRAINT uq_agents__name__type UNIQUE (name, type),
        CONSTRAINT fk_agents__project_id FOREIGN KEY (project_id) REFERENCES projects (id)
      );
      CREATE INDEX ix_agents__created_at__id ON agents (created_at, id);
      CREATE INDEX ix_agents__project_id ON agents (project_id);`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE agents');
  }
}
