import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Workflows and their runs. A run keeps the definition that it began with. */
export class CreateWorkflows1760000500000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE workflows (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        project_id uuid,
        name text NOT NULL,
        description text,
        status text NOT NULL,
        workflow_type text,
        configuration json NOT NULL,
        parameters json NOT NULL,
        definition json,
        tags text[] NOT NULL,
        metadata json NOT NULL,
        is_paused boolean NOT NULL,
        is_template boolean NOT NULL,
        requires_approval boolean NOT NULL,
        progress_percentage double precision NOT NULL,
        total_tasks integer NOT NULL,
        completed_tasks integer NOT NULL,
        failed_tasks integer NOT NULL,
        estimated_duration_hours double precision,
        actual_duration_hours double precision,
        started_at timestamptz,
        completed_at timestamptz,
        scheduled_at timestamptz,
        schedule json,
        next_tick_at timestamptz,
        quality_metrics json NOT NULL,
        latest_run_id uuid,
        run_count integer NOT NULL,
        CONSTRAINT pk_workflows__id PRIMARY KEY (id),
        CONSTRAINT fk_workflows__project_id FOREIGN KEY (project_id) REFERENCES projects (id)
      );
      CREATE INDEX ix_workflows__created_at__id ON workflows (created_at, id);
      CREATE INDEX ix_workflows__project_id ON workflows (project_id);
      CREATE INDEX ix_workflows__next_tick_at ON workflows (next_tick_at) WHERE next_tick_at IS NOT NULL;

      CREATE TABLE workflow_agents (
        workflow_id uuid NOT NULL,
        agent_id uuid NOT NULL,
        agent_name text NOT NULL,
        CONSTRAINT pk_workflow_agents__workflow_id__agent_id PRIMARY KEY (workflow_id, agent_id),
        CONSTRAINT fk_workflow_agents__workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
      );

      CREATE TABLE workflow_runs (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        workflow_id uuid NOT NULL,
        run_number integer NOT NULL,
        status text NOT NULL,
        trigger text NOT NULL,
        rerun_of uuid,
        definition json,
        input json NOT NULL,
        output json,
        error json,
        progress_percentage double precision NOT NULL,
        total_tasks integer NOT NULL,
        completed_tasks integer NOT NULL,
        failed_tasks integer NOT NULL,
        scheduled_at timestamptz,
        started_at timestamptz,
        completed_at timestamptz,
        CONSTRAINT pk_workflow_runs__id PRIMARY KEY (id),
        CONSTRAINT uq_workflow_runs__workflow_id__run_number UNIQUE (workflow_id, run_number),
        CONSTRAINT fk_workflow_runs__workflow_id FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
      );
      CREATE INDEX ix_workflow_runs__created_at__id ON workflow_runs (created_at, id);
      CREATE INDEX ix_workflow_runs__live ON workflow_runs (workflow_id, run_number)
        WHERE status IN ('scheduled', 'running', 'paused');
      CREATE INDEX ix_workflow_runs__scheduled_at ON workflow_runs (scheduled_at) WHERE status = 'scheduled';

      CREATE TABLE run_steps (
        run_id uuid NOT NULL,
        key text NOT NULL,
        position integer NOT NULL,
        status text NOT NULL,
        tasks_total integer NOT NULL,
        tasks_completed integer NOT NULL,
        tasks_failed integer NOT NULL,
        started_at timestamptz,
        completed_at timestamptz,
        output json,
        error json,
        CONSTRAINT pk_run_steps__run_id__key PRIMARY KEY (run_id, key),
        CONSTRAINT fk_run_steps__run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id) ON DELETE CASCADE
      );`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE run_steps;
      DROP TABLE workflow_runs;
      DROP TABLE workflow_agents;
      DROP TABLE workflows;`);
  }
}
