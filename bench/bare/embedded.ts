import 'reflect-metadata';
import { newId } from '../../src/platform/database/new-id.js';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../../src/platform/database/embedded/embedded-database.js';
import { migrate } from '../../src/platform/database/migrate.js';
import { eventRows, recorded } from '../../src/platform/events/event-rows.js';
import { newTask } from '../../src/tasks/new-task.js';
import { COMPLETE, CREATE_TASKS, GET_TASK, LEASE, TASK_COLUMNS } from '../../src/tasks/task.sql.js';
import { TaskCreated } from '../../src/tasks/tasks.events.js';
import { serveJson } from './serve-json.js';

/**
 * What the same statements cost on the same database behind bare `node:http`: no framework, no validation, no
 * documents, no sockets. The measure that Flightdeck is compared with.
 */
const pool = DatabasePool.embedded(await EmbeddedDatabase.open(process.env.DATA_DIR!));
await migrate(pool);
const { pool: database } = pool;

const NO_PROJECT = '00000000-0000-0000-0000-000000000000';
const METADATA = JSON.stringify({ request_id: null, endpoint: null, ip: null });
const LIST = {
  name: 'list',
  text: `SELECT ${TASK_COLUMNS} FROM tasks t ORDER BY t.created_at DESC, t.id DESC LIMIT 50`,
};
const AGENT = {
  name: 'agent',
  text: `INSERT INTO agents (id, created_at, updated_at, name, type, status, runner, configuration, max_concurrent_tasks, tags,
    metadata, is_draining, held_tasks, cancel_requested, tasks_completed, tasks_failed, avg_response_time,
    processing_time_ms, error_count, online_seconds)
    VALUES ($1, now(), now(), $2, $3, 'idle', 'pull', '{}', $4, '{}', '{}', false, 0, '{}', 0, 0, 0, 0, 0, 0)`,
};

type Body = Record<string, never> & {
  title: string;
  agent_type?: string;
  agent_id: string;
  max_tasks?: number;
  lease_token: string;
  name: string;
  type: string;
  max_concurrent_tasks: number;
};

async function answer(method: string, url: string, body: Body): Promise<unknown> {
  if (method === 'POST' && url === '/api/v1/tasks') {
    const task = newTask({ title: body.title, agent_type: body.agent_type ?? null });
    const values = [JSON.stringify([task]), eventRows([recorded(new TaskCreated(task))])];
    return (await database.query({ ...CREATE_TASKS, values })).rows[0];
  }
  if (method === 'POST' && url === '/api/v1/agents') {
    const id = newId();
    await database.query({ ...AGENT, values: [id, body.name, body.type, body.max_concurrent_tasks] });
    return { id };
  }
  if (url === '/api/v1/tasks/lease') {
    const count = body.max_tasks ?? 1;
    const ids = (length: number) => Array.from({ length }, newId);
    const values = [body.agent_id, count, 60, NO_PROJECT, ids(count), ids(count + 1), METADATA];
    const { rows } = await database.query<Record<string, unknown>>({ ...LEASE, values });
    return rows.filter(({ id }) => id !== null).map((task) => ({ task, lease: { token: task.lease_token } }));
  }
  const complete = /^\/api\/v1\/tasks\/([^/]+)\/lease\/complete$/.exec(url);
  if (complete) {
    const values = [[complete[1]], [body.lease_token], ['null'], [null], [newId()], ['{}'], ['{}']];
    return (await database.query({ ...COMPLETE, values })).rows[0];
  }
  if (url.startsWith('/api/v1/tasks?')) return (await database.query(LIST)).rows;
  if (url.startsWith('/api/v1/tasks/')) {
    return (await database.query({ ...GET_TASK, values: [url.slice('/api/v1/tasks/'.length)] })).rows[0];
  }
  return { status: 'ready' };
}

serveJson(
  (method, url, body) => answer(method, url, body as Body),
  () => pool.close(),
);
