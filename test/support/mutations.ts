import { newId } from '../../src/platform/database/new-id.js';
import { lease, type Leased, makeAgent, makeKey, makeProject, makeTask, makeWorkflow } from './makers.js';
import type { TestApp } from './test-app.js';

/** A request that changes something: what stands for the parameters of its path, and its body. */
export interface Mutation {
  params?: Record<string, string>;
  body?: object;
}

const STEPS = { steps: [{ key: 'write', agent_type: 'writer' }] };

async function leased(server: TestApp): Promise<Leased> {
  const agent = await makeAgent(server);
  await makeTask(server, { agent_type: agent.type });
  return (await lease(server, agent))[0]!;
}

async function run(server: TestApp): Promise<{ id: string; workflow_id: string }> {
  const workflow = await makeWorkflow(server, STEPS);
  const { body } = await server.post(`/api/v1/workflows/${workflow.id}/execute`, {});
  return { id: body.run.id, workflow_id: workflow.id };
}

const of = (made: Promise<{ id: string }>, body?: object): Promise<Mutation> =>
  made.then(({ id }) => ({ params: { id }, ...(body && { body }) }));

const ofLeased = async (server: TestApp, fields: object = {}): Promise<Mutation> => {
  const { task, lease } = await leased(server);
  return { params: { id: task.id }, body: { lease_token: lease.token, ...fields } };
};

/** For each operation of the document that changes something, what makes it succeed; by its name without version. */
export const MUTATIONS: Record<string, (server: TestApp) => Promise<Mutation>> = {
  create_project: () => Promise.resolve({ body: { name: 'Apollo' } }),
  update_project: (server) => of(makeProject(server), { name: 'Gemini' }),
  delete_project: (server) => of(makeProject(server)),

  create_api_key: () => Promise.resolve({ body: { name: 'Dashboard', role: 'viewer' } }),
  rotate_api_key: (server) => of(makeKey(server), {}),
  revoke_api_key: (server) => of(makeKey(server)),

  create_agent: () => Promise.resolve({ body: { name: `Ada ${newId()}`, type: 'writer' } }),
  update_agent: (server) => of(makeAgent(server), { description: 'Writes' }),
  delete_agent: (server) => of(makeAgent(server)),
  update_agent_status: (server) => of(makeAgent(server), { status: 'error' }),
  update_agent_metrics: (server) => of(makeAgent(server), { tasks_completed: 7 }),
  send_agent_heartbeat: (server) => of(makeAgent(server), {}),
  drain_agent: (server) => of(makeAgent(server)),
  resume_agent: async (server) => {
    const { id } = await makeAgent(server);
    await server.post(`/api/v1/agents/${id}/drain`);
    return { params: { id } };
  },

  create_task: () => Promise.resolve({ body: { title: 'Write' } }),
  update_task: (server) => of(makeTask(server), { title: 'Rewrite' }),
  update_tasks: async (server) => ({
    body: { task_ids: [(await makeTask(server)).id, (await makeTask(server)).id], updates: { priority: 'high' } },
  }),
  delete_task: (server) => of(makeTask(server)),
  update_task_status: (server) => of(makeTask(server), { status: 'in_progress' }),
  update_task_progress: (server) => of(makeTask(server), { progress_percentage: 40 }),
  assign_task: async (server) => of(makeTask(server), { assigned_agent_id: (await makeAgent(server)).id }),
  add_task_dependency: async (server) => of(makeTask(server), { dependency_id: (await makeTask(server)).id }),
  remove_task_dependency: async (server) => {
    const { id: dependency_id } = await makeTask(server);
    const { id } = await makeTask(server, { dependencies: [dependency_id] });
    return { params: { id, dependency_id } };
  },
  cancel_task: (server) => of(makeTask(server)),
  retry_task: async (server) => {
    const { id } = await makeTask(server);
    await server.post(`/api/v1/tasks/${id}/cancel`);
    return { params: { id } };
  },

  lease_tasks: async (server) => {
    const { id, type } = await makeAgent(server);
    await makeTask(server, { agent_type: type });
    return { body: { agent_id: id } };
  },
  complete_tasks: async (server) => {
    const { task, lease } = await leased(server);
    return { body: { results: [{ task_id: task.id, lease_token: lease.token }] } };
  },
  renew_lease: (server) => ofLeased(server),
  complete_task: (server) => ofLeased(server, { output: 'Done' }),
  fail_task: (server) => ofLeased(server, { error: { message: 'It broke' } }),
  release_task: (server) => ofLeased(server),

  create_workflow: () => Promise.resolve({ body: { name: 'Review', ...STEPS } }),
  update_workflow: (server) => of(makeWorkflow(server), { name: 'Preview' }),
  delete_workflow: (server) => of(makeWorkflow(server)),
  update_workflow_status: (server) => of(makeWorkflow(server), { status: 'inactive' }),
  assign_workflow_agent: async (server) => of(makeWorkflow(server), { agent_id: (await makeAgent(server)).id }),
  remove_workflow_agent: async (server) => {
    const { id } = await makeWorkflow(server);
    const { id: agent_id } = await makeAgent(server);
    await server.post(`/api/v1/workflows/${id}/agents`, { agent_id });
    return { params: { id, agent_id } };
  },
  execute_workflow: (server) => of(makeWorkflow(server, STEPS), {}),
  validate_workflow: (server) => of(makeWorkflow(server), STEPS),

  pause_run: (server) => of(run(server)),
  resume_run: async (server) => {
    const { id } = await run(server);
    await server.post(`/api/v1/runs/${id}/pause`);
    return { params: { id } };
  },
  cancel_run: (server) => of(run(server)),
  rerun: async (server) => {
    const { id } = await run(server);
    await server.post(`/api/v1/runs/${id}/cancel`);
    return { params: { id }, body: {} };
  },
};
