import pg from 'pg';
import { v7 } from 'uuid';
import { serveJson } from './serve-json.js';

/**
 * What one would write by hand: `node:http` and `pg`, a named statement for each request. It inserts the task's row and
 * nothing else: no event, no validation. Its SQL is its own, so that it stays what it is when Flightdeck's changes.
 */
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.DATABASE_POOL_SIZE) });

const INSERT = {
  name: 'insert',
  text: `
    INSERT INTO tasks (
      id, created_at, updated_at, title, description, priority, agent_type, input, ready_at, status,
      assignment_is_fixed, required_capabilities, tags, metadata, unmet_dependencies, has_dependents, is_held, attempt,
      max_attempts, retry, progress_percentage, subtasks_completed, subtasks_total, is_urgent, requires_review,
      cancel_requested)
    VALUES ($1, now(), now(), $2, $3, $4, $5, $6, now(), 'pending', false, '{}', '{}', '{}', 0, false, false, 0, 3,
      '{"backoff_seconds": 1, "factor": 2, "max_seconds": 300, "jitter": true}', 0, 0, 0, false, false, false)
    RETURNING *`,
};

const COLUMNS = `t.*,
  ARRAY(SELECT d.dependency_id FROM task_dependencies d WHERE d.task_id = t.id) AS dependencies,
  ARRAY(SELECT d.task_id FROM task_dependencies d WHERE d.dependency_id = t.id) AS dependents,
  (SELECT a.name FROM agents a WHERE a.id = t.assigned_agent_id) AS assigned_agent_name`;
const GET = { name: 'get', text: `SELECT ${COLUMNS} FROM tasks t WHERE t.id = $1` };
const NEWEST = `ORDER BY t.created_at DESC, t.id DESC LIMIT 50`;
const LIST = { name: 'list', text: `SELECT ${COLUMNS} FROM tasks t ${NEWEST}` };
const LIST_AFTER = {
  name: 'list_after',
  text: `SELECT ${COLUMNS} FROM tasks t
    WHERE (t.created_at, t.id) < (SELECT created_at, id FROM tasks WHERE id = $1) ${NEWEST}`,
};

const AFTER = '/api/v1/tasks?after=';
const ONE = '/api/v1/tasks/';

async function answer(method: string, url: string, body: Record<string, unknown>): Promise<unknown> {
  if (method === 'POST') {
    const { title, description = null, priority = 'medium', agent_type = null, input = {} } = body;
    const values = [v7(), title, description, priority, agent_type, JSON.stringify(input)];
    return (await pool.query({ ...INSERT, values })).rows[0];
  }
  if (url.startsWith(AFTER)) return (await pool.query({ ...LIST_AFTER, values: [url.slice(AFTER.length)] })).rows;
  if (url.startsWith(ONE)) return (await pool.query({ ...GET, values: [url.slice(ONE.length)] })).rows[0];
  return (await pool.query(LIST)).rows;
}

serveJson(answer, () => pool.end());
