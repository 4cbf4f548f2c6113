import { complete, type Leased, lease, makeAgent, makeWorkflow } from './makers.js';
import type { TestApp } from './test-app.js';

// oxlint-disable-next-line typescript/no-explicit-any
type Made = any;

export interface Started {
  agent: Made;
  workflow_id: string;
  run_id: string;
}

/** A workflow, an agent that does all of its steps, and a run that has begun. */
export async function startRun(
  server: TestApp,
  steps: object[],
  execution: object = {},
  fields: object = {},
): Promise<Started> {
  const agent = await makeAgent(server, { max_concurrent_tasks: 100 });
  const workflow = await makeWorkflow(server, {
    ...fields,
    steps: steps.map((step) => ({ agent_type: agent.type, ...step })),
  });
  const { status, body } = await execute(server, workflow.id, execution);
  if (status !== 202) throw new Error(`Could not start it: ${status} ${JSON.stringify(body)}`);
  return { agent, workflow_id: workflow.id, run_id: body.run.id };
}

export const execute = (server: TestApp, workflow_id: string, body: object = {}) =>
  server.post(`/api/v1/workflows/${workflow_id}/execute`, body);

export const getRun = async (server: TestApp, run_id: string): Promise<Made> =>
  (await server.get(`/api/v1/runs/${run_id}`)).body;

export const getWorkflow = async (server: TestApp, id: string): Promise<Made> =>
  (await server.get(`/api/v1/workflows/${id}`)).body;

export const act = (server: TestApp, run_id: string, action: 'pause' | 'resume' | 'cancel' | 'rerun', body?: object) =>
  server.post(`/api/v1/runs/${run_id}/${action}`, body);

/** Each step's status, by key. */
export const statuses = ({ steps }: Made): Record<string, string> =>
  Object.fromEntries(steps.map(({ key, status }: Made) => [key, status]));

/** Does all that there is to do, one after the other; answers what was done. */
export async function workOff(
  server: TestApp,
  agent: { id: string },
  outputOf: (task: Made) => unknown = (task) => `did ${task.title}`,
): Promise<Leased[]> {
  const done: Leased[] = [];
  for (;;) {
    const [held] = await lease(server, agent);
    if (!held) return done;
    const { status, body } = await complete(server, held, { output: outputOf(held.task) });
    if (status !== 200) throw new Error(`Could not complete it: ${status} ${JSON.stringify(body)}`);
    done.push(held);
  }
}

export const tasksOf = async (server: TestApp, run_id: string): Promise<Made[]> =>
  (await server.get(`/api/v1/tasks?run_id=${run_id}&sort_order=asc&limit=1000`)).body;

/** The types of a run's events, oldest first; progress and the agents' own left out. */
export const eventsOfRun = async (server: TestApp, workflow_id: string): Promise<string[]> =>
  (await server.events({ workflow_id })).map(({ type }) => type).filter((type) => type !== 'workflow_progress_updated');

export const sorted = (texts: string[]): string[] => texts.toSorted();
