import { randomUUID } from 'node:crypto';
import { bearer } from './keys.js';
import type { Answer, TestApp } from './test-app.js';

// oxlint-disable-next-line typescript/no-explicit-any
type Made = any;
export type Headers = Record<string, string>;

/** What a request may name. */
export type Kind = 'project' | 'agent' | 'task' | 'workflow' | 'run' | 'key' | 'lease' | 'request' | 'text';
export type Things = Record<Kind, string[]>;

/** Speaks to the server with one credential. */
export class Caller {
  constructor(
    readonly server: TestApp,
    readonly headers: Headers,
  ) {}

  request = (method: string, url: string, payload?: unknown): Promise<Answer<Made>> =>
    this.server.request(method as 'GET', url, payload, this.headers);

  /** What is to succeed. */
  async ask(method: string, url: string, payload?: unknown): Promise<Made> {
    const { status, body } = await this.request(method, url, payload);
    if (status >= 300) throw new Error(`${method} ${url}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  post = (url: string, payload: unknown = {}): Promise<Made> => this.ask('POST', `/api/v1${url}`, payload);
  get = (url: string): Promise<Made> => this.ask('GET', `/api/v1${url}`);
  put = (url: string, payload: unknown): Promise<Made> => this.ask('PUT', `/api/v1${url}`, payload);
  patch = (url: string, payload: unknown): Promise<Made> => this.ask('PATCH', `/api/v1${url}`, payload);
  delete = (url: string): Promise<Made> => this.ask('DELETE', `/api/v1${url}`);
}

/** A key of a role, bound to a project, or to none. */
export async function callerOf(admin: Caller, role: string, project_id: string | null, agent_id?: string) {
  const { key } = await admin.post('/auth/keys', { name: `${role} of ${project_id}`, role, project_id, agent_id });
  return { key: key as string, caller: new Caller(admin.server, bearer(key)) };
}

const LONG = { lease_seconds: 3600 };

/** Some of everything in one project (null: shared), in several states, with the word in every text that there is. */
export async function populate(admin: Caller, project_id: string | null, word: string): Promise<Things> {
  const texts = { description: `${word} description`, tags: [word], metadata: { note: `${word} metadata` } };
  const type = `${word}-type`;
  const agent = await admin.post('/agents', {
    ...texts,
    project_id,
    type,
    name: `${word} agent`,
    key: `${word}-key`,
    max_concurrent_tasks: 50,
    configuration: { prompt: `${word} prompt` },
  });
  const make = (fields: object) =>
    admin.post('/tasks', {
      ...texts,
      project_id,
      title: `${word} task`,
      instructions: `${word} instructions`,
      task_type: type,
      agent_type: type,
      input: { text: `${word} input` },
      created_by: `${word} person`,
      ...fields,
    });
  const lease = async () => (await admin.post('/tasks/lease', { agent_id: agent.id, ...LONG }))[0];
  const done = await make({});
  const failing = await make({ max_attempts: 1 });
  const held = await make({});
  const tokens = new Map<string, string>();
  for (let count = 0; count < 3; count++) {
    const leased = await lease();
    tokens.set(leased.task.id, leased.lease.token);
  }
  const dependent = await make({ dependencies: [failing.id] });
  await admin.post(`/tasks/${done.id}/lease/complete`, {
    lease_token: tokens.get(done.id),
    output: `${word} output`,
    quality_score: 90,
  });
  await admin.post(`/tasks/${failing.id}/lease/fail`, {
    lease_token: tokens.get(failing.id),
    error: { message: `${word} error` },
    retryable: false,
  });
  const steps = (agent_type: string) => [
    { key: 'first', name: `${word} step`, instructions: `${word} how`, agent_type, input: { text: word } },
    { key: 'second', depends_on: ['first'], agent_type, agent_id: agent.id },
  ];
  const workflowTexts = { ...texts, project_id, workflow_type: type, configuration: { note: word } };
  const live = await admin.post('/workflows', {
    ...workflowTexts,
    name: `${word} live workflow`,
    // Nobody is of this type, so it stays live.
    steps: steps(`${word}-nobody`),
    parameters: { text: `${word} parameter` },
  });
  await admin.post(`/workflows/${live.id}/agents`, { agent_id: agent.id });
  const { run: liveRun } = await admin.post(`/workflows/${live.id}/execute`, { input: { text: `${word} run input` } });
  const over = await admin.post('/workflows', { ...workflowTexts, name: `${word} workflow`, steps: steps(type) });
  const { run: overRun } = await admin.post(`/workflows/${over.id}/execute`);
  await admin.post(`/runs/${overRun.id}/cancel`);
  const container = await admin.post('/workflows', { ...workflowTexts, name: `${word} container` });
  const waiting = await make({ workflow_id: container.id });
  const pending = await make({ assigned_agent_id: agent.id });
  const key = await admin.post('/auth/keys', { name: `${word} key`, role: 'viewer', project_id });
  const [audited] = project_id === null ? [] : await admin.get(`/audit?limit=1&project_id=${project_id}`);
  return {
    project: project_id === null ? [] : [project_id],
    agent: [agent.id, agent.key],
    task: [pending, held, done, failing, dependent, waiting].map(({ id }) => id as string),
    workflow: [live.id, over.id, container.id],
    run: [liveRun.id, overRun.id],
    key: [key.id],
    lease: [tokens.get(held.id)!],
    request: audited ? [audited.request_id as string] : [],
    text: [word],
  };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Something that there is not, of the same form. */
export const unknownLike = (value: string): string =>
  UUID.test(value) ? randomUUID() : value.replace(/[a-z]/g, (letter) => (letter === 'z' ? 'a' : 'z'));
