/** As JavaScript prints a date; null stays null. */
const time = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Not of one that works for another project: who sees the task need not see that. */
export const AGENT_NAME = `(SELECT a.name FROM agents a
  WHERE a.id = t.assigned_agent_id AND (a.project_id IS NULL OR a.project_id = t.project_id))`;

/**
 * A {@link TaskResponse} as PostgreSQL writes it, from a row of `tasks t`. Reading tasks is the commonest thing that
 * clients do: this spares making fifty values of each row only to write them again. A test holds it to the response.
 */
export const TASK_JSON = `(SELECT row_to_json(shown) FROM (SELECT
  t.id, t.project_id, t.workflow_id, t.run_id, t.step_key, t.item_index, t.title, t.title AS name, t.description,
  t.instructions, t.task_type, t.status, t.priority, t.agent_type, t.assigned_agent_id,
  CASE WHEN t.assigned_agent_id IS NOT NULL THEN json_build_object('id', t.assigned_agent_id,
    'name', ${AGENT_NAME}) END AS assigned_agent,
  t.required_capabilities, t.input, t.output, t.error, t.tags, t.metadata,
  ARRAY(SELECT d.dependency_id FROM task_dependencies d WHERE d.task_id = t.id ORDER BY 1) AS dependencies,
  CASE WHEN t.has_dependents
    THEN ARRAY(SELECT d.task_id FROM task_dependencies d WHERE d.dependency_id = t.id ORDER BY 1)
    ELSE '{}' END AS dependents,
  t.attempt, t.max_attempts, t.retry, t.timeout_seconds, ${time('t.ready_at')} AS ready_at,
  ${time('t.scheduled_at')} AS scheduled_at, t.progress_percentage, t.progress_percentage AS progress,
  t.subtasks_completed, t.subtasks_total,
  json_build_object('estimated_duration_minutes', t.estimated_duration_minutes,
    'actual_duration_minutes', t.actual_duration_minutes, 'started_at', ${time('t.started_at')},
    'completed_at', ${time('t.completed_at')}) AS time_tracking,
  t.quality_score, t.complexity_score, t.effort_points, ${time('t.due_date')} AS due_date,
  t.status = 'blocked' AS is_blocked, t.is_urgent, t.requires_review, t.cancel_requested, t.created_by,
  ${time('t.started_at')} AS started_at, ${time('t.completed_at')} AS completed_at,
  ${time('t.created_at')} AS created_at, ${time('t.updated_at')} AS updated_at) AS shown)::text`;
