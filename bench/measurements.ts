import autocannon from 'autocannon';
import { HttpClient } from './http-client.js';

/** Requests per second and the times of one request, in ms. */
export interface Load {
  per_second: number;
  p50: number;
  p99: number;
}

const CONNECTIONS = 20;

/** Asks for as much as the server gives, for some seconds. Throws when not every answer was a success. */
export async function load(url: string, path: string, seconds: number, body?: unknown): Promise<Load> {
  const result = await autocannon({
    url: url + path,
    connections: CONNECTIONS,
    duration: seconds,
    ...(body !== undefined && {
      method: 'POST' as const,
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  if (result.non2xx + result.errors > 0) throw new Error(`${path}: ${result.non2xx} refusals, ${result.errors} errors`);
  return { per_second: result.requests.average, p50: result.latency.p50, p99: result.latency.p99 };
}

let counter = 0;

/** Creates tasks and lets agents lease and complete them: tasks per second from the first lease to the last result. */
export async function leaseToComplete(url: string, tasks: number, agents: number): Promise<number> {
  const client = new HttpClient(url, agents * 2);
  const type = `bench_${++counter}`;
  const ids: string[] = [];
  for (let index = 0; index < agents; index++) ids.push(await createAgent(client, type));
  await inParallel(agents * 2, tasks, () => client.call('POST', '/api/v1/tasks', { title: 'No-op', agent_type: type }));
  const begin = performance.now();
  const counts = await Promise.all(ids.map((id) => workUntilEmpty(client, id)));
  const seconds = (performance.now() - begin) / 1000;
  client.close();
  const done = counts.reduce((sum, count) => sum + count, 0);
  if (done !== tasks) throw new Error(`${done} of ${tasks} tasks were done`);
  return tasks / seconds;
}

/** Runs of a workflow with two steps, one after the other on several lines: runs per second. */
export async function twoStepWorkflows(url: string, runs: number, lines: number): Promise<number> {
  const client = new HttpClient(url, lines * 2);
  const perLine = Math.ceil(runs / lines);
  const prepared = await Promise.all(
    Array.from({ length: lines }, async () => {
      const agent_type = `bench_${++counter}`;
      const steps = [
        { key: 'one', agent_type },
        { key: 'two', agent_type, depends_on: ['one'], input: { before: '${{ steps.one.output }}' } },
      ];
      const workflow = await client.call<{ id: string }>('POST', '/api/v1/workflows', { name: 'Two steps', steps });
      return { workflow_id: workflow.id, agent_id: await createAgent(client, agent_type) };
    }),
  );
  const begin = performance.now();
  await Promise.all(
    prepared.map(async ({ workflow_id, agent_id }) => {
      for (let index = 0; index < perLine; index++) {
        await client.call('POST', `/api/v1/workflows/${workflow_id}/execute`, {});
        for (let step = 0; step < 2; step++) await workOne(client, agent_id);
      }
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  client.close();
  return (perLine * lines) / seconds;
}

/** The same work as two steps, without workflows: a task, then another one. */
export async function twoTasks(url: string, pairs: number, lines: number): Promise<number> {
  const client = new HttpClient(url, lines * 2);
  const perLine = Math.ceil(pairs / lines);
  const agents = await Promise.all(
    Array.from({ length: lines }, async () => {
      const agent_type = `bench_${++counter}`;
      return { agent_type, agent_id: await createAgent(client, agent_type) };
    }),
  );
  const begin = performance.now();
  await Promise.all(
    agents.map(async ({ agent_type, agent_id }) => {
      for (let index = 0; index < perLine * 2; index++) {
        await client.call('POST', '/api/v1/tasks', { title: 'Step', agent_type });
        await workOne(client, agent_id);
      }
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  client.close();
  return (perLine * lines) / seconds;
}

/** From the answer to a POST of a task until the agent that waited for it has it, in ms. */
export async function wakeUps(url: string, count: number): Promise<{ p50: number; p99: number }> {
  const client = new HttpClient(url, 4);
  const agent_type = `bench_${++counter}`;
  const agent_id = await createAgent(client, agent_type);
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const waiting = client.call<Leased[]>('POST', '/api/v1/tasks/lease', { agent_id, wait_seconds: 20 });
    await new Promise((resolve) => setTimeout(resolve, 30));
    await client.call('POST', '/api/v1/tasks', { title: 'Wake up', agent_type });
    const created = performance.now();
    const [leased] = await waiting;
    times.push(Math.max(0, performance.now() - created));
    await complete(client, leased!);
  }
  client.close();
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(times.length * 0.5)]!, p99: times[Math.floor(times.length * 0.99)]! };
}

interface Leased {
  task: { id: string };
  lease: { token: string };
}

const createAgent = async (client: HttpClient, type: string): Promise<string> => {
  const body = { name: `Agent ${++counter}`, type, max_concurrent_tasks: 100 };
  return (await client.call<{ id: string }>('POST', '/api/v1/agents', body)).id;
};

const complete = (client: HttpClient, { task, lease }: Leased): Promise<unknown> =>
  client.call('POST', `/api/v1/tasks/${task.id}/lease/complete`, { lease_token: lease.token });

async function workOne(client: HttpClient, agent_id: string): Promise<void> {
  const [leased] = await client.call<Leased[]>('POST', '/api/v1/tasks/lease', { agent_id });
  if (!leased) throw new Error('There was nothing to lease');
  await complete(client, leased);
}

async function workUntilEmpty(client: HttpClient, agent_id: string): Promise<number> {
  for (let count = 0; ;) {
    const leased = await client.call<Leased[]>('POST', '/api/v1/tasks/lease', { agent_id, max_tasks: 10 });
    if (leased.length === 0) return count;
    await Promise.all(leased.map((each) => complete(client, each)));
    count += leased.length;
  }
}

async function inParallel(lines: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: lines }, async () => {
      while (left-- > 0) await work();
    }),
  );
}
