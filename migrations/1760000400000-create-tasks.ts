import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tasks and what they wait for. `assigned_agent_id` has no foreign key: finished work keeps the id of an agent that was
 * deleted. `workflow_id` and `run_id` have none either: they belong to a domain above, which checks them.
 */
export class CreateTasks1760000400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TYPE task_priority AS ENUM ('low', 'medium', 'high', 'critical');
      CREATE TABLE tasks (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        project_id uuid,
        workflow_id uuid,
        run_id uuid,
        step_key text,
        item_index integer,
        title text NOT NULL,
        description text,
        instructions text,
        task_type text,
        status text NOT NULL,
        priority task_priority NOT NULL,
        agent_type text,
        assigned_agent_id uuid,
        assignment_is_fixed boolean NOT NULL,
        allowed_agent_ids uuid[],
        required_capabilities text[] NOT NULL,
        input json NOT NULL,
        output json,
        error json,
        tags text[] NOT NULL,
        metadata json NOT NULL,
        unmet_dependencies integer NOT NULL,
        has_dependents boolean NOT NULL,
        is_held boolean NOT NULL,
        attempt integer NOT NULL,
        max_attempts integer NOT NULL,
        retry json NOT NULL,
        timeout_seconds integer,
        ready_at timestamptz,
        scheduled_at timestamptz,
        progress_percentage double precision NOT NULL,
        subtasks_completed integer NOT NULL,
        subtasks_total integer NOT NULL,
        estimated_duration_minutes double precision,
        actual_duration_minutes double precision,
        quality_score double precision,
        complexity_score double precision,
        effort_points double precision,
        due_date timestamptz,
        is_urgent boolean NOT NULL,
        requires_review boolean NOT NULL,
        lease_token uuid,
        lease_expires_at timestamptz,
        ended_lease_token uuid,
        deadline_at timestamptz,
        cancel_requested boolean NOT NULL,
        created_by text,
        started_at timestamptz,
        completed_at timestamptz,
        CONSTRAINT pk_tasks__id PRIMARY KEY (id),
        CONSTRAINT fk_tasks__project_id FOREIGN KEY (project_id) REFERENCES projects (id)
      );
      CREATE INDEX ix_tasks__created_at__id ON tasks (created_at, id);
      CREATE INDEX ix_tasks__project_id__created_at__id ON tasks (project_id, created_at, id) WHERE project_id IS NOT NULL;
      CREATE INDEX ix_tasks__workflow_id__created_at__id ON tasks (workflow_id, created_at, id) WHERE workflow_id IS NOT NULL;
      CREATE INDEX ix_tasks__run_id__step_key__item_index ON tasks (run_id, step_key, item_index) WHERE run_id IS NOT NULL;
      CREATE INDEX ix_tasks__assigned_agent_id__created_at__id ON tasks (assigned_agent_id, created_at, id)
        WHERE assigned_agent_id IS NOT NULL;
      -- Dispatch reads this: a lane (one agent, one type, or anyone), then priority, then project (the last for none).
      CREATE INDEX ix_tasks__leasable ON tasks (
        (coalesce(assigned_agent_id::text, agent_type, '*')), priority,
        (coalesce(project_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)), ready_at, id
      ) WHERE status = 'pending' AND ready_at IS NOT NULL;
      -- The metrics and the clock read this alone, and say so by the odd condition. To dispatch it must not seem useful:
      -- a plan that reads all that is ready is good until a flood comes.
      CREATE INDEX ix_tasks__ready_at ON tasks (ready_at) INCLUDE (agent_type)
        WHERE status = 'pending' AND ready_at > '-infinity';
      -- What an agent has in hand: few rows, however many it has done.
      CREATE INDEX ix_tasks__held ON tasks (assigned_agent_id, started_at) WHERE lease_token IS NOT NULL;
      CREATE INDEX ix_tasks__lease_expires_at ON tasks (lease_expires_at) WHERE lease_expires_at IS NOT NULL;

      CREATE TABLE task_dependencies (
        task_id uuid NOT NULL,
        dependency_id uuid NOT NULL,
        CONSTRAINT pk_task_dependencies__task_id__dependency_id PRIMARY KEY (task_id, dependency_id),
        CONSTRAINT fk_task_dependencies__task_id FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE CASCADE,
        CONSTRAINT fk_task_dependencies__dependency_id FOREIGN KEY (dependency_id) REFERENCES tasks (id) ON DELETE CASCADE
      );
      CREATE INDEX ix_task_dependencies__dependency_id ON task_dependencies (dependency_id);`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE task_dependencies; DROP TABLE tasks; DROP TYPE task_priority;');
  }
}
