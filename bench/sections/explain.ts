import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../../src/app.setup.js';
import { Environment } from '../../src/platform/config/environment.js';
import { connected } from '../database.js';
import { atMost } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { type Plan, Plans } from '../plans.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { complete, createAgent, createTask, lease, newName } from '../work.js';

/** After five executions PostgreSQL may plan a named statement for all values alike. */
const TIMES = 12;

/** How PostgreSQL does what the server asks most, over tables of the full size. */
export async function explain(stage: Stage): Promise<Row[]> {
  await stage.clear();
  const plans = new Plans();
  const environment = Object.assign(new Environment(), {
    ENVIRONMENT: 'test',
    LOG_LEVEL: 'error',
    DATABASE_URL: stage.database_url,
    REDIS_URL: stage.redis_url,
  });
  const pool = await plans.openPool(environment);
  const app = await createApp(environment, pool);
  try {
    await app.listen({ port: 0, host: '127.0.0.1' });
    await askAll(await app.getUrl(), plans, stage);
  } finally {
    await app.close();
    await pool.close();
  }
  const hot = [...plans.found.values()].filter(({ access }) => access.some(isOfLarge));
  for (const plan of hot) stage.note(describe(plan, stage.showsPlans));
  const scans = hot.flatMap((plan) => plan.scans).length;
  if (scans > 0) stage.alarm(`${scans} of the hot queries scan tasks or events: see above.`);
  const compiled = hot.filter(({ compiling_ms }) => compiling_ms > 0).length;
  const most = Math.max(...hot.map(({ buffers }) => buffers));
  return [
    row('hot queries that scan tasks or events', { ours: scans, bare: null }, atMost(0)(scans)),
    row('hot queries that are compiled (JIT) at every execution', { ours: compiled, bare: null }),
    row('most pages that a hot query looks at', { ours: most, bare: null }),
  ];
}

/** Others are small. */
const isOfLarge = (access: string): boolean => /\b(ix_|pk_)?(tasks|events)(__|\b)/.test(access);

async function askAll(url: string, plans: Plans, stage: Stage): Promise<void> {
  const client = new HttpClient(url, 1);
  const agent_type = newName();
  const agent_id = await createAgent(client, agent_type);
  const [{ id }] = await client.call<[{ id: string }]>('GET', '/api/v1/tasks?limit=1&status=completed');
  const repeat = async (name: string, ask: () => Promise<unknown>): Promise<void> => {
    plans.during = name;
    for (let time = 0; time < TIMES; time++) await ask();
  };
  const leaseAndComplete = async (max_tasks: number): Promise<void> => {
    for (const leased of await lease(client, agent_id, max_tasks)) await complete(client, leased);
  };
  let next = '';
  // What the server did to start is not hot.
  plans.found.clear();
  await repeat('background', async () => {
    await client.call('POST', '/api/v1/projects', { name: 'For its event' });
    await sleep(100);
  });
  await repeat('create', () => createTask(client, { title: 'Hot', agent_type }));
  await repeat('get', () => client.call('GET', `/api/v1/tasks/${id}`));
  await repeat('list', async () => {
    const { head } = await client.ask(client.prepare('GET', `/api/v1/tasks?limit=50&${next}`));
    next = `cursor=${/\r\nx-next-cursor: *(\S+)/i.exec(head)![1]}`;
  });
  await repeat('lease and complete one', () => leaseAndComplete(1));
  await repeat('create', () => Promise.all([1, 2].map(() => createTask(client, { title: 'Hot', agent_type }))));
  await repeat('lease and complete several', () => leaseAndComplete(2));
  await repeat('heartbeat', () => client.call('POST', `/api/v1/agents/${agent_id}/heartbeat`, {}));
  plans.during = 'sweep';
  await createTask(client, { title: 'To be swept', agent_type });
  const [held] = await lease(client, agent_id);
  await connected(stage.database_url, (other) =>
    other.query(`UPDATE tasks SET lease_expires_at = now() - interval '1 second' WHERE id = $1`, [held!.task.id]),
  );
  await sleep(3_000);
  client.close();
}

function describe(plan: Plan, isFull: boolean): string {
  const { during, sql, ms, compiling_ms, buffers, access, scans, json } = plan;
  const compiling = compiling_ms > 0 ? `, ${compiling_ms.toFixed(0)} ms of them COMPILING` : '';
  const warning = scans.length > 0 ? `  SEQ SCAN over ${scans.join(', ')}!` : '';
  const line = `${during}: ${ms.toFixed(2)} ms${compiling}, ${buffers} buffers: ${access.join(', ')}${warning}`;
  return isFull ? `${line}\n${sql}\n${json}\n` : `${line}\n    ${sql.slice(0, 110)}`;
}
