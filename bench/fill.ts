import type { ClientBase } from 'pg';

const PROJECTS = 10;
const AGENTS = 20;

/** A UUID v7 of the time `at`, from what is unique about the row. */
const idAt = (at: string, seed: string): string => `(
  lpad(to_hex((extract(epoch FROM ${at}) * 1000)::bigint), 12, '0') || '7' || left(md5(${seed}), 3) ||
  '8' || substr(md5(${seed}), 4, 15))::uuid`;

/** One of the ids that were made from `seed || 0`, `seed || 1`, ... */
const idOf = (seed: string): string => `md5(${seed})::uuid`;

/**
 * As many tasks as a system has after some time: one in a hundred is pending, the others are completed; one a moment
 * after the other. Each has the event of its creation. The references are right, so their checks are left out.
 */
export async function fillTasks(client: ClientBase, rows: number): Promise<void> {
  await client.query(`SET session_replication_role = replica`);
  await client.query(`
    INSERT INTO projects (id, created_at, updated_at, name, status, metadata)
    SELECT ${idOf(`'project' || n`)}, now(), now(), 'Project ' || n, 'active', '{}'
    FROM generate_series(0, ${PROJECTS - 1}) AS n`);
  await client.query(`
    INSERT INTO agents (id, created_at, updated_at, name, type, status, runner, configuration, max_concurrent_tasks,
      tags, metadata, is_draining, held_tasks, cancel_requested, tasks_completed, tasks_failed, avg_response_time,
      processing_time_ms, error_count, online_seconds)
    SELECT ${idOf(`'agent' || n`)}, now(), now(), 'Agent ' || n, 'nobody', 'idle', 'pull', '{}', 1, '{}', '{}', false, 0,
      '{}', 0, 0, 0, 0, 0, 0
    FROM generate_series(0, ${AGENTS - 1}) AS n`);
  await client.query(`
    INSERT INTO tasks (id, created_at, updated_at, project_id, title, description, status, priority, agent_type,
      assigned_agent_id, assignment_is_fixed, required_capabilities, input, output, tags, metadata, unmet_dependencies,
      has_dependents, is_held, attempt, max_attempts, retry, ready_at, progress_percentage, subtasks_completed,
      subtasks_total, actual_duration_minutes, is_urgent, requires_review, cancel_requested, started_at, completed_at)
    SELECT ${idAt('at', 'n::text')}, at, at, ${idOf(`'project' || n % ${PROJECTS}`)}, 'Summarise the release notes ' || n,
      'Of every version since the last summary', CASE WHEN is_done THEN 'completed' ELSE 'pending' END, 'medium',
      'nobody', CASE WHEN is_done THEN ${idOf(`'agent' || n % ${AGENTS}`)} END, false, '{}',
      json_build_object('version', n), CASE WHEN is_done THEN json_build_object('summary', 'Nothing new in ' || n) END,
      ARRAY['bench'], '{}', 0, false, false, is_done::int, 3,
      '{"backoff_seconds": 1, "factor": 2, "max_seconds": 300, "jitter": true}', at,
      CASE WHEN is_done THEN 100 ELSE 0 END, 0, 0, CASE WHEN is_done THEN 0.01 END, false, false, false,
      CASE WHEN is_done THEN at END, CASE WHEN is_done THEN at END
    FROM (SELECT n, now() - make_interval(secs => (${rows} - n) * 0.05) AS at, n % 100 <> 0 AS is_done
          FROM generate_series(1, ${rows}) AS n) AS made`);
  // Written by many transactions, all of which ended before the server's first.
  await client.query(`
    INSERT INTO events (txid, id, type, source, severity, actor_type, project_id, task_id, data, metadata, created_at)
    SELECT (3 + row_number() OVER (ORDER BY t.created_at) * 500 / ${rows})::text::xid8, gen_random_uuid(),
      'task_created', 'user', 'info', 'user', t.project_id, t.id,
      jsonb_build_object('task_id', t.id, 'project_id', t.project_id, 'title', t.title), '{"request_id": null}',
      t.created_at
    FROM tasks t ORDER BY t.created_at`);
  await client.query(`SET session_replication_role = origin`);
  await settle(client);
}

/** Does what PostgreSQL would do for the written rows in the background, so that it disturbs no measurement. */
export async function settle(client: ClientBase): Promise<void> {
  await client.query('VACUUM (ANALYZE)');
  await client.query('CHECKPOINT');
}
