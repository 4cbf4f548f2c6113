import { HttpClient } from './http-client.js';

/** A task in the hands of an agent, as far as the bench looks at it. */
export interface Leased {
  task: {
    id: string;
    project_id: string | null;
    run_id: string | null;
    step_key: string | null;
    ready_at: string;
    started_at: string;
  };
  lease: { token: string };
}

let counter = 0;

/** A name that no other measurement of this run uses. */
export const newName = (what = 'bench'): string => `${what}_${++counter}`;

export async function createAgent(client: HttpClient, type: string, max_concurrent_tasks = 100): Promise<string> {
  const body = { name: newName('agent'), type, max_concurrent_tasks };
  return (await client.call<{ id: string }>('POST', '/api/v1/agents', body)).id;
}

export const createTask = (client: HttpClient, body: { title: string; [field: string]: unknown }) =>
  client.call<{ id: string }>('POST', '/api/v1/tasks', body);

export async function createTwoStepWorkflow(client: HttpClient, agent_type: string): Promise<string> {
  const steps = [
    { key: 'one', agent_type },
    { key: 'two', agent_type, depends_on: ['one'], input: { before: '${{ steps.one.output }}' } },
  ];
  return (await client.call<{ id: string }>('POST', '/api/v1/workflows', { name: 'Two steps', steps })).id;
}

/** Answers the run's id. */
export async function execute(client: HttpClient, workflow_id: string): Promise<string> {
  const { run } = await client.call<{ run: { id: string } }>('POST', `/api/v1/workflows/${workflow_id}/execute`, {});
  return run.id;
}

export const lease = (client: HttpClient, agent_id: string, max_tasks = 1, wait_seconds = 0): Promise<Leased[]> =>
  client.call('POST', '/api/v1/tasks/lease', { agent_id, max_tasks, wait_seconds });

export const complete = (client: HttpClient, { task, lease: { token } }: Leased): Promise<unknown> =>
  client.call('POST', `/api/v1/tasks/${task.id}/lease/complete`, { lease_token: token });

/** Throws when one of them is refused. */
export async function completeAll(client: HttpClient, leased: readonly Leased[]): Promise<void> {
  const results = leased.map(({ task, lease: { token } }) => ({ task_id: task.id, lease_token: token }));
  type Answer = { is_completed: boolean; problem: unknown }[];
  const answer = await client.call<Answer>('POST', '/api/v1/tasks/lease/complete', { results });
  for (const { is_completed, problem } of answer) if (!is_completed) throw new Error(JSON.stringify(problem));
}

export async function inParallel(lines: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: lines }, async () => {
      while (left-- > 0) await work();
    }),
  );
}
