import type { TestApp } from './test-app.js';

let counter = 0;
const unique = (word: string): string => `${word} ${process.pid}-${++counter}`;

// oxlint-disable-next-line typescript/no-explicit-any
type Made = any;

async function made(answer: Promise<{ status: number; body: Made }>): Promise<Made> {
  const { status, body } = await answer;
  if (status >= 300) throw new Error(`Could not make it: ${status} ${JSON.stringify(body)}`);
  return body;
}

/** Each makes what a test needs, with the fields that matter to it. */
export const makeProject = (server: TestApp, fields: object = {}): Promise<Made> =>
  made(server.post('/api/v1/projects', { name: unique('Project'), ...fields }));

export const makeAgent = (server: TestApp, fields: object = {}): Promise<Made> =>
  made(server.post('/api/v1/agents', { name: unique('Agent'), type: unique('type'), ...fields }));

export const makeTask = (server: TestApp, fields: object = {}): Promise<Made> =>
  made(server.post('/api/v1/tasks', { title: unique('Task'), ...fields }));

export const makeWorkflow = (server: TestApp, fields: object = {}): Promise<Made> =>
  made(server.post('/api/v1/workflows', { name: unique('Workflow'), ...fields }));

/** An API key, with its secret. */
export const makeKey = (server: TestApp, fields: object = {}): Promise<Made> =>
  made(server.post('/api/v1/auth/keys', { name: unique('Key'), role: 'viewer', ...fields }));

export interface Leased {
  task: Made;
  lease: { token: string; expires_at: string; attempt: number };
}

export const lease = (server: TestApp, agent: { id: string }, fields: object = {}): Promise<Leased[]> =>
  made(server.post('/api/v1/tasks/lease', { agent_id: agent.id, ...fields })) as Promise<Leased[]>;

export const complete = (server: TestApp, { task, lease }: Leased, fields: object = {}) =>
  server.post(`/api/v1/tasks/${task.id}/lease/complete`, { lease_token: lease.token, ...fields });

export const fail = (server: TestApp, { task, lease }: Leased, fields: object = {}) =>
  server.post(`/api/v1/tasks/${task.id}/lease/fail`, {
    lease_token: lease.token,
    error: { message: 'It broke' },
    ...fields,
  });
