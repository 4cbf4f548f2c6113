import { type Call, groupBy, type History, type HistoryEvent, type Operation, type Problem } from './history.js';

interface Creation {
  noun: string;
  event: string;
  idOf: (subject: Call | HistoryEvent) => string | null | undefined;
}

const CREATIONS: Partial<Record<Operation, Creation>> = {
  create_task: { noun: 'task', event: 'task_created', idOf: ({ task_id }) => task_id },
  create_workflow: { noun: 'workflow', event: 'workflow_created', idOf: ({ workflow_id }) => workflow_id },
  execute_workflow: { noun: 'run', event: 'workflow_executed', idOf: ({ run_id }) => run_id },
};

/** What clients were told must be in the log, once. */
export function checkClients(history: History): Problem[] {
  return [...checkCreations(history), ...checkLeases(history), ...checkCompletions(history)];
}

/** The ids of what clients were told exists. */
export function acknowledged({ calls }: History, operation: Operation): Set<string> {
  const { idOf } = CREATIONS[operation]!;
  const answered = calls.filter((call) => call.operation === operation && call.phase === 'ok');
  return new Set(answered.map((call) => idOf(call) ?? ''));
}

function checkCreations(history: History): Problem[] {
  const { calls, events } = history;
  const problems: Problem[] = [];
  for (const [operation, { noun, event, idOf }] of Object.entries(CREATIONS) as [Operation, Creation][]) {
    // The tasks of a step carry the request that ended the step before.
    const created = events.filter(({ type, run_id }) => type === event && (noun !== 'task' || run_id === null));
    const ids = new Set(created.map(idOf));
    for (const id of acknowledged(history, operation)) {
      if (!ids.has(id)) problems.push({ kind: 'LOST', subject: `${noun} ${id}`, text: 'acknowledged, not in the log' });
    }

    const byRequest = groupBy(created, ({ request_id }) => request_id);
    const own = calls.filter((call) => call.operation === operation);
    for (const [key, tries] of groupBy(own, ({ idempotency_key }) => idempotency_key)) {
      const answered = tries.filter(({ phase }) => phase === 'ok').map(idOf);
      const found = new Set([...answered, ...(byRequest.get(key) ?? []).map(idOf)]);
      if (found.size <= 1) continue;
      const text = `one key made ${found.size} ${noun}s: ${[...found].join(', ')}`;
      problems.push({ kind: 'DUPLICATED', subject: `idempotency key ${key}`, text });
    }
  }
  return problems;
}

function checkLeases({ calls, events }: History): Problem[] {
  const problems: Problem[] = [];
  const nameOf = (task_id: unknown, attempt: unknown, agent_id: unknown): string =>
    JSON.stringify([task_id, attempt, agent_id]);
  const started = new Set(
    events
      .filter(({ type }) => type === 'task_started')
      .map(({ task_id, agent_id, data }) => nameOf(task_id, data.attempt, agent_id)),
  );
  const holders = new Map<string, string>();
  for (const { phase, agent_id, leases = [] } of calls) {
    if (phase !== 'ok') continue;
    for (const { task_id, lease_token, attempt } of leases) {
      const subject = `task ${task_id}`;
      if (!started.has(nameOf(task_id, attempt, agent_id))) {
        const text = `attempt ${attempt} was leased to agent ${agent_id}, but is not in the log`;
        problems.push({ kind: 'LOST', subject, text });
      }
      const former = holders.get(lease_token);
      if (former) problems.push({ kind: 'DUPLICATED', subject, text: `its lease token was also given to ${former}` });
      holders.set(lease_token, `agent ${agent_id} for task ${task_id}`);
    }
  }
  return problems;
}

function checkCompletions({ calls, events, rows }: History): Problem[] {
  const problems: Problem[] = [];
  const attempts = new Map(calls.flatMap(({ leases = [] }) => leases.map((one) => [one.lease_token, one.attempt])));
  const logged = groupBy(
    events.filter(({ type }) => type === 'task_completed'),
    ({ task_id }) => task_id,
  );
  const outputs = new Map(rows.map(({ id, output_hash }) => [id, output_hash]));
  const accepted = calls.filter(({ operation, phase }) => operation === 'complete' && phase === 'ok');

  for (const [task_id, completions] of groupBy(accepted, (call) => call.task_id)) {
    const report = (kind: Problem['kind'], text: string) => problems.push({ kind, subject: `task ${task_id}`, text });
    const byToken = groupBy(completions, ({ lease_token }) => lease_token);
    if (byToken.size > 1) {
      report('DUPLICATED', `completions with ${byToken.size} leases were accepted: ${[...byToken.keys()].join(', ')}`);
    }
    const [event] = logged.get(task_id) ?? [];
    if (!event) {
      report('LOST', 'its completion was acknowledged, but is not in the log');
      continue;
    }
    for (const [token, [completion]] of byToken) {
      const attempt = attempts.get(token);
      if (attempt !== undefined && attempt !== event.data.attempt) {
        report(
          'DUPLICATED',
          `attempt ${attempt} was accepted, and attempt ${String(event.data.attempt)} is in the log`,
        );
      }
      const output_hash = outputs.get(task_id);
      if (output_hash !== undefined && completion!.output_hash !== output_hash) {
        report(
          'LOST',
          `the result that was accepted (${completion!.output_hash}) is not the one kept (${output_hash})`,
        );
      }
    }
  }
  return problems;
}
