import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import type { Call, Operation } from './history.js';

const OPERATIONS: [RegExp, Operation][] = [
  [/\/tasks$/, 'create_task'],
  [/\/workflows$/, 'create_workflow'],
  [/\/workflows\/[^/]+\/execute$/, 'execute_workflow'],
  [/\/tasks\/lease$/, 'lease'],
  [/\/lease\/heartbeat$/, 'renew'],
  [/\/lease\/complete$/, 'complete'],
  [/\/lease\/fail$/, 'fail'],
  [/\/lease\/release$/, 'release'],
];

interface Sent {
  agent_id?: string;
  lease_token?: string;
  output?: unknown;
  dependencies?: string[];
  steps?: { key: string; depends_on?: string[]; for_each?: string }[];
}

/** Members that answers may have: of a task, a workflow, an execution, a problem. */
interface Answered {
  id?: string;
  attempt?: number;
  code?: string;
  run?: { id: string };
}

export const hashOf = (value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(value ?? null))
    .digest('hex')
    .slice(0, 16);

/**
 * A fetch that notes each try in a file: before it is sent, and what came back. Written at once, so that a client that is
 * killed leaves all that it knew.
 */
export function recordingFetch(client: string, file: string): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { pathname } = new URL(request.url);
    const operation = request.method === 'POST' && OPERATIONS.find(([path]) => path.test(pathname))?.[1];
    if (!operation) return fetch(request);

    const call = randomUUID();
    const idempotency_key = request.headers.get('idempotency-key') ?? undefined;
    // So that each event says which call caused it.
    request.headers.set('x-request-id', idempotency_key ?? call);
    const sent = (await request.clone().json()) as Sent;
    const about = { client, call, operation, idempotency_key, ...noteOf(operation, pathname, sent) };
    const note = (phase: Call['phase'], more: Partial<Call> = {}): void => {
      const line: Call = { kind: 'call', at: new Date().toISOString(), phase, ...about, ...more };
      appendFileSync(file, `${JSON.stringify(line)}\n`);
    };

    note('invoke');
    try {
      const response = await fetch(request);
      const answer = (await response.clone().json()) as Answered;
      const { status } = response;
      if (response.ok) note('ok', { status, ...answerOf(operation, answer) });
      // A server that failed may have done it nevertheless.
      else note(status >= 500 ? 'unknown' : 'fail', { status, code: answer.code });
      return response;
    } catch (error) {
      note('unknown', { code: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  };
}

function noteOf(operation: Operation, path: string, sent: Sent): Partial<Call> {
  const { agent_id, lease_token, dependencies, steps, output } = sent;
  const [, subject] = /\/(?:tasks|workflows)\/([^/]{36})\//.exec(path) ?? [];
  if (operation === 'create_task') return { dependencies: dependencies ?? [] };
  if (operation === 'create_workflow')
    return {
      steps: (steps ?? []).map(({ key, depends_on = [], for_each }) => ({
        key,
        depends_on,
        is_list: for_each !== undefined,
      })),
    };
  if (operation === 'execute_workflow') return { workflow_id: subject };
  if (operation === 'lease') return { agent_id };
  return { task_id: subject, lease_token, ...(operation === 'complete' && { output_hash: hashOf(output) }) };
}

function answerOf(operation: Operation, answer: Answered): Partial<Call> {
  if (operation === 'create_task') return { task_id: answer.id };
  if (operation === 'create_workflow') return { workflow_id: answer.id };
  if (operation === 'execute_workflow') return { run_id: answer.run?.id };
  if (operation !== 'lease') return {};
  const leased = answer as { task: { id: string }; lease: { token: string; attempt: number } }[];
  const leases = leased.map(({ task, lease: { token, attempt } }) => ({
    task_id: task.id,
    lease_token: token,
    attempt,
  }));
  return { leases };
}
