import { HttpClient } from './http-client.js';
import {
  complete,
  createAgent,
  createTask,
  createTwoStepWorkflow,
  execute,
  inParallel,
  lease,
  newName,
} from './work.js';

/** Creates tasks and lets agents lease and complete them: tasks per second from the first lease to the last result. */
export async function leaseToComplete(url: string, tasks: number, agents: number): Promise<number> {
  const client = new HttpClient(url, agents * 2);
  const agent_type = newName();
  const ids: string[] = [];
  for (let index = 0; index < agents; index++) ids.push(await createAgent(client, agent_type));
  await inParallel(agents * 2, tasks, () => createTask(client, { title: 'No-op', agent_type }));
  const begin = performance.now();
  const counts = await Promise.all(ids.map((id) => workUntilEmpty(client, id)));
  const seconds = (performance.now() - begin) / 1000;
  client.close();
  const done = counts.reduce((sum, count) => sum + count, 0);
  if (done !== tasks) throw new Error(`${done} of ${tasks} tasks were done`);
  return tasks / seconds;
}

/** Runs of a workflow with two steps, one after the other on several lines: runs per second. */
export const twoStepWorkflows = (url: string, runs: number, lines: number): Promise<number> =>
  onLines(url, runs, lines, async (client, agent_type) => {
    const id = await createTwoStepWorkflow(client, agent_type);
    return async (workOne) => {
      await execute(client, id);
      for (let step = 0; step < 2; step++) await workOne();
    };
  });

/** The same work as two steps, without workflows: a task, then another one. */
export const twoTasks = (url: string, pairs: number, lines: number): Promise<number> =>
  onLines(url, pairs, lines, async (client, agent_type) => async (workOne) => {
    for (let step = 0; step < 2; step++) {
      await createTask(client, { title: 'Step', agent_type });
      await workOne();
    }
  });

type Round = (workOne: () => Promise<void>) => Promise<void>;

/** Each line has an agent of its own type, and does its rounds one after the other. */
async function onLines(
  url: string,
  rounds: number,
  lines: number,
  prepare: (client: HttpClient, agent_type: string) => Promise<Round>,
): Promise<number> {
  const client = new HttpClient(url, lines * 2);
  const perLine = Math.ceil(rounds / lines);
  const prepared = await Promise.all(
    Array.from({ length: lines }, async () => {
      const agent_type = newName();
      return { round: await prepare(client, agent_type), agent_id: await createAgent(client, agent_type) };
    }),
  );
  const begin = performance.now();
  await Promise.all(
    prepared.map(async ({ round, agent_id }) => {
      for (let index = 0; index < perLine; index++) await round(() => workOne(client, agent_id));
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  client.close();
  return (perLine * lines) / seconds;
}

async function workOne(client: HttpClient, agent_id: string): Promise<void> {
  const [leased] = await lease(client, agent_id);
  if (!leased) throw new Error('There was nothing to lease');
  await complete(client, leased);
}

async function workUntilEmpty(client: HttpClient, agent_id: string): Promise<number> {
  for (let count = 0; ;) {
    const leased = await lease(client, agent_id, 10);
    if (leased.length === 0) return count;
    await Promise.all(leased.map((each) => complete(client, each)));
    count += leased.length;
  }
}
