import { canMove, hasEnded, TaskStatus } from '../../src/tasks/task-state.js';
import { acknowledged } from './check-clients.js';
import { groupBy, type History, type HistoryEvent, type Problem } from './history.js';

/** A task as its events tell it, in their order. */
class TaskStory {
  status: TaskStatus | null = null;
  private attempt = 0;
  private wasGivenBack = false;
  private holder: string | null = null;

  constructor(private readonly report: (kind: Problem['kind'], text: string) => void) {}

  get whyStuck(): string {
    if (this.status === TaskStatus.InProgress)
      return `attempt ${this.attempt} of agent ${this.holder} was neither ended nor taken back`;
    if (this.status === TaskStatus.Pending) return `it could be leased after ${this.attempt} attempts, and never was`;
    return `it is ${this.status} for ever`;
  }

  hear({ type, data, agent_id }: HistoryEvent): void {
    if (this.status === null && type !== 'task_created')
      this.report('OUT-OF-ORDER', `${type} came before its creation`);
    const [from, to] = [data.old_status, data.new_status] as [TaskStatus | null | undefined, TaskStatus | undefined];
    if (type === 'task_created') this.create(to!);
    else if (type === 'task_started') this.start(data.attempt as number, agent_id);
    else if (type === 'task_completed' && this.status === TaskStatus.Completed)
      this.report('DUPLICATED', `completed again (attempt ${String(data.attempt)})`);
    // The event that follows it moves the task.
    else if (type === 'task_failed' && data.final === false) this.expect(type, TaskStatus.InProgress);
    else if (to !== undefined && from !== undefined) this.move(type, from ?? to, to);
    if (type === 'task_lease_expired') this.expect(type, TaskStatus.InProgress);
    const isOfAttempt = type === 'task_completed' || type === 'task_lease_expired' || type === 'task_failed';
    // What people complete by hand was perhaps never attempted.
    if (isOfAttempt && data.attempt !== undefined && data.attempt !== this.attempt)
      this.report('OUT-OF-ORDER', `${type} of attempt ${data.attempt as number} during attempt ${this.attempt}`);
  }

  private create(status: TaskStatus): void {
    if (this.status !== null) this.report('DUPLICATED', 'created again');
    this.status = status;
  }

  private start(attempt: number, agent_id: string | null): void {
    this.move('task_started', TaskStatus.Pending, TaskStatus.InProgress);
    const isNext = attempt === this.attempt + 1;
    // Given back, the attempt did not count; begun anew, it is the first one.
    const isAgain = this.wasGivenBack && (attempt === this.attempt || attempt === 1);
    if (!isNext && !isAgain) this.report('OUT-OF-ORDER', `attempt ${attempt} came after attempt ${this.attempt}`);
    this.attempt = attempt;
    this.wasGivenBack = false;
    this.holder = agent_id;
  }

  private move(type: string, from: TaskStatus, to: TaskStatus): void {
    this.expect(type, from);
    if (from !== to && !canMove(from, to)) this.report('OUT-OF-ORDER', `${type} moved it from ${from} to ${to}`);
    this.wasGivenBack ||= type === 'task_updated' && from !== to && to === TaskStatus.Pending;
    this.status = to;
  }

  private expect(type: string, status: TaskStatus): void {
    if (this.status !== null && this.status !== status)
      this.report('OUT-OF-ORDER', `${type} of a task that is ${this.status}, not ${status}`);
  }
}

/** Each task lives by the table of its states, ends, and is what the database holds. */
export function checkTasks(history: History): Problem[] {
  const { events, rows } = history;
  const problems: Problem[] = [];
  const known = acknowledged(history, 'create_task');
  const states = new Map(rows.filter(({ table }) => table === 'tasks').map(({ id, status }) => [id, status]));

  for (const [task_id, own] of groupBy(events, (event) => event.task_id)) {
    const report = (kind: Problem['kind'], text: string) => problems.push({ kind, subject: `task ${task_id}`, text });
    const story = new TaskStory(report);
    for (const event of own) story.hear(event);
    if (own.some(({ type }) => type === 'task_deleted')) continue;
    if (story.status !== null && !hasEnded(story.status)) {
      if (known.has(task_id)) report('LOST', 'acknowledged, and never ended');
      report('STUCK', story.whyStuck);
    }
    if (rows.length === 0) continue;
    const [state, status]: (string | null | undefined)[] = [states.get(task_id), story.status];
    if (state === undefined) report('LOST', 'in the log, but not in the database');
    else if (state !== status) report('LOST', `${status} in the log, but ${state} in the database`);
  }
  return [...problems, ...checkDependents(history)];
}

/** A task that was created with dependencies starts after they have completed. */
function checkDependents({ calls, events }: History): Problem[] {
  const problems: Problem[] = [];
  const waitsFor = new Map<string, string[]>();
  const wanted = groupBy(
    calls.filter(({ dependencies }) => dependencies !== undefined),
    ({ idempotency_key }) => idempotency_key,
  );
  const completed = new Set<string>();
  for (const { type, task_id, request_id } of events) {
    if (task_id === null) continue;
    if (type === 'task_created') waitsFor.set(task_id, wanted.get(request_id ?? '')?.[0]?.dependencies ?? []);
    if (type === 'task_completed') completed.add(task_id);
    if (type !== 'task_started') continue;
    const early = (waitsFor.get(task_id) ?? []).filter((dependency) => !completed.has(dependency));
    for (const dependency of early) {
      const text = `started before its dependency ${dependency} was completed`;
      problems.push({ kind: 'OUT-OF-ORDER', subject: `task ${task_id}`, text });
    }
  }
  return problems;
}
