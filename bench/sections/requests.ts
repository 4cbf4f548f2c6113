import { atLeast, atMost } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { inTurnsWarmedUp, type Pair } from '../in-turns.js';
import { load, type Load, type Request } from '../load.js';
import type { Stage } from '../stage.js';
import { loadRows, type Row } from '../table.js';

const CONNECTIONS = 50;

async function underLoad(stage: Stage, request: Request): Promise<Pair<Load[]>> {
  const sides = { ours: await stage.ours(), bare: await stage.bare() };
  return inTurnsWarmedUp(sides, stage.scale.seconds, ({ url }, seconds) =>
    load(url, request, { connections: CONNECTIONS, seconds }),
  );
}

/** Ours checks the body and writes the event in the same transaction; the bare server inserts the row. */
export async function create(stage: Stage): Promise<Row[]> {
  const body = { title: 'Summarise the release notes', agent_type: 'nobody', input: { version: 12 } };
  const loads = await underLoad(stage, { method: 'POST', path: '/api/v1/tasks', body });
  return loadRows('create task', loads, { ratio: atLeast(0.5), p99: atMost(40) });
}

export async function get(stage: Stage): Promise<Row[]> {
  const client = new HttpClient((await stage.ours()).url, 1);
  const [task] = await client.call<[{ id: string }]>('GET', '/api/v1/tasks?limit=1&status=completed');
  client.close();
  const loads = await underLoad(stage, { method: 'GET', path: `/api/v1/tasks/${task.id}` });
  return loadRows('get task', loads, { ratio: atLeast(0.5) });
}

/** Ours also counts, up to 10,000. */
export async function list(stage: Stage): Promise<Row[]> {
  const loads = await underLoad(stage, { method: 'GET', path: '/api/v1/tasks?limit=50' });
  return loadRows(`list 50 of ${stage.scale.rows}`, loads, { ratio: atLeast(0.8) });
}
