import { statement } from '../platform/database/database.js';

/** The steps of the run `r` in their order, as JSON. Their outputs can be large: only on demand. */
const stepsOf = (more = ''): string => `
  (SELECT coalesce(json_agg(json_build_object(
     'run_id', s.run_id, 'key', s.key, 'position', s.position, 'status', s.status, 'tasks_total', s.tasks_total,
     'tasks_completed', s.tasks_completed, 'tasks_failed', s.tasks_failed, 'started_at', s.started_at,
     'completed_at', s.completed_at, 'error', s.error ${more}) ORDER BY s.position), '[]')
   FROM run_steps s WHERE s.run_id = r.id) AS steps`;

/** The runs $1 as the API shows them. */
export const GET_RUNS = statement(
  'get_runs',
  `SELECT r.*, ${stepsOf(`, 'output', s.output`)},
          (SELECT w.project_id FROM workflows w WHERE w.id = r.workflow_id) AS project_id
   FROM workflow_runs r WHERE r.id = ANY ($1::uuid[])`,
);

/** The runs $1 with all that moves them on, locked. The locks of their tasks must be held: see `TaskStore.lockRun`. */
export const LOAD_RUNS = statement(
  'load_runs',
  `SELECT r.*, now() AS now, ${stepsOf()},
          (SELECT array_agg(a.agent_id) FROM workflow_agents a WHERE a.workflow_id = r.workflow_id) AS allowed_agent_ids,
          (SELECT json_build_object('id', w.id, 'project_id', w.project_id, 'name', w.name, 'status', w.status,
             'parameters', w.parameters, 'latest_run_id', w.latest_run_id, 'is_paused', w.is_paused,
             'progress_percentage', w.progress_percentage, 'total_tasks', w.total_tasks,
             'completed_tasks', w.completed_tasks, 'failed_tasks', w.failed_tasks,
             'estimated_duration_hours', w.estimated_duration_hours,
             'actual_duration_hours', w.actual_duration_hours, 'quality_metrics', w.quality_metrics)
           FROM workflows w WHERE w.id = r.workflow_id) AS workflow
   FROM workflow_runs r WHERE r.id = ANY ($1::uuid[]) ORDER BY r.id FOR UPDATE OF r`,
);

/** The time, and who may do the tasks of the workflows $1 (null: anyone). */
export const CONDITIONS = statement(
  'conditions_of_runs',
  `SELECT w.id, now() AS now,
          (SELECT array_agg(agent_id) FROM workflow_agents WHERE workflow_id = w.id) AS allowed_agent_ids
   FROM unnest($1::uuid[]) AS w (id)`,
);

/** The runs of the workflows $1 that are not over, the newest first. */
export const LIVE_RUNS = statement(
  'live_runs',
  `SELECT workflow_id, id, status, scheduled_at FROM workflow_runs
   WHERE workflow_id = ANY ($1::uuid[]) AND status IN ('scheduled', 'running', 'paused') ORDER BY run_number DESC`,
);

/** Runs `r` whose time has come, and which need not wait for another one of their workflow. */
export const DUE_RUNS = `
  workflow_runs r JOIN workflows w ON w.id = r.workflow_id
  WHERE r.status = 'scheduled' AND r.scheduled_at <= now() AND (
    (w.schedule ->> 'overlap' = 'allow' AND w.definition IS NOT NULL)
    OR NOT EXISTS (SELECT FROM workflow_runs o WHERE o.workflow_id = w.id AND o.status IN ('running', 'paused')))`;

/** Workflows `w` at whose tick a run may have to start. */
export const DUE_SCHEDULES = 'workflows w WHERE w.next_tick_at <= now()';

/** New runs ($1) with their steps ($2); each is now the newest of its workflow. */
export const INSERT_RUNS = statement(
  'insert_runs',
  `WITH run AS (
     INSERT INTO workflow_runs SELECT * FROM json_populate_recordset(NULL::workflow_runs, $1::json) RETURNING *
   ), steps AS (
     INSERT INTO run_steps SELECT * FROM json_populate_recordset(NULL::run_steps, $2::json))
   UPDATE workflows w SET latest_run_id = run.id, run_count = run.run_number, scheduled_at = run.scheduled_at
   FROM run WHERE w.id = run.workflow_id`,
);

/** Where runs ($1) and their changed steps ($2) are now, and what their workflows ($3) show of them. */
export const SAVE_RUNS = statement(
  'save_runs',
  `WITH run AS (
     UPDATE workflow_runs r
     SET status = n.status, output = n.output, error = n.error, progress_percentage = n.progress_percentage,
         total_tasks = n.total_tasks, completed_tasks = n.completed_tasks, failed_tasks = n.failed_tasks,
         started_at = n.started_at, completed_at = n.completed_at, updated_at = now()
     FROM json_populate_recordset(NULL::workflow_runs, $1::json) AS n WHERE r.id = n.id
   ), steps AS (
     UPDATE run_steps s
     SET status = n.status, tasks_total = n.tasks_total, tasks_completed = n.tasks_completed,
         tasks_failed = n.tasks_failed, started_at = n.started_at, completed_at = n.completed_at, error = n.error
     FROM json_populate_recordset(NULL::run_steps, $2::json) AS n WHERE s.run_id = n.run_id AND s.key = n.key)
   UPDATE workflows w
   SET status = n.status, is_paused = n.is_paused, started_at = n.started_at, completed_at = n.completed_at,
       progress_percentage = n.progress_percentage, total_tasks = n.total_tasks,
       completed_tasks = n.completed_tasks, failed_tasks = n.failed_tasks,
       actual_duration_hours = n.actual_duration_hours, quality_metrics = n.quality_metrics, updated_at = now()
   FROM json_populate_recordset(NULL::workflows, $3::json) AS n WHERE w.id = n.id`,
);

/**
 * The outputs of steps ($1: runs, $2: keys) are those of their tasks or, if they are lists ($3), those of all tasks in
 * the order of the items; beyond $4 bytes one is not kept. Answers how many bytes they are, and those of at most $5 bytes.
 */
export const KEEP_OUTPUTS = statement(
  'keep_step_outputs',
  `WITH size AS MATERIALIZED (
     SELECT given.*, (
       SELECT coalesce(sum(octet_length(t.output::text)), 0) FROM tasks t
       WHERE t.run_id = given.run_id AND t.step_key = given.key) AS bytes
     FROM unnest($1::uuid[], $2::text[], $3::boolean[]) AS given (run_id, key, is_list))
   UPDATE run_steps s
   SET output = CASE
     WHEN size.bytes > $4 THEN NULL
     WHEN size.is_list THEN (
       SELECT coalesce(json_agg(CASE WHEN t.status = 'completed' THEN t.output END ORDER BY t.item_index), '[]')
       FROM tasks t WHERE t.run_id = s.run_id AND t.step_key = s.key)
     ELSE (SELECT t.output FROM tasks t
           WHERE t.run_id = s.run_id AND t.step_key = s.key AND t.status = 'completed' LIMIT 1) END
   FROM size WHERE s.run_id = size.run_id AND s.key = size.key
   RETURNING s.run_id, s.key, size.bytes::float8 AS bytes, CASE WHEN size.bytes <= $5 THEN s.output END AS output`,
);

/** The outputs of steps ($1: runs, $2: keys) in the order of the steps. No rows if they are more than $3 bytes. */
export const STEP_OUTPUTS = statement(
  'step_outputs',
  `WITH wanted AS MATERIALIZED (
     SELECT s.run_id, s.key, s.position, s.output FROM unnest($1::uuid[], $2::text[]) AS given (run_id, key)
     JOIN run_steps s ON s.run_id = given.run_id AND s.key = given.key)
   SELECT run_id, json_object_agg(key, output ORDER BY position) AS outputs FROM wanted
   WHERE $3::float8 IS NULL OR (SELECT coalesce(sum(octet_length(output::text)), 0) FROM wanted) <= $3
   GROUP BY run_id`,
);

/** Of the tasks of the runs $1. */
export const MEAN_SCORES = statement(
  'mean_scores_of_runs',
  'SELECT run_id, avg(quality_score)::float8 AS score FROM tasks WHERE run_id = ANY ($1::uuid[]) GROUP BY run_id',
);
