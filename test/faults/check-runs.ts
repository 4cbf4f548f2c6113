import { hasEnded, type TaskStatus } from '../../src/tasks/task-state.js';
import { canRunMove, canStepMove, hasStepEnded, isLive, RunStatus, StepStatus } from '../../src/workflows/run-state.js';
import { acknowledged } from './check-clients.js';
import { groupBy, type History, type HistoryEvent, type Problem, type StepNote } from './history.js';

const RUN_MOVES: Record<string, RunStatus> = {
  run_started: RunStatus.Running,
  run_resumed: RunStatus.Running,
  run_paused: RunStatus.Paused,
  run_completed: RunStatus.Completed,
  run_failed: RunStatus.Failed,
  run_cancelled: RunStatus.Cancelled,
};

const STEP_MOVES: Record<string, StepStatus> = {
  run_step_started: StepStatus.Running,
  run_step_completed: StepStatus.Completed,
  run_step_failed: StepStatus.Failed,
  run_step_skipped: StepStatus.Skipped,
};

interface Step {
  status: StepStatus;
  /** Its tasks, by id. */
  tasks: Map<string, TaskStatus>;
}

/** A run as its events tell it, in their order. */
class RunStory {
  status: RunStatus | null = null;
  private readonly steps = new Map<string, Step>();

  constructor(
    private readonly definition: readonly StepNote[],
    private readonly report: (kind: Problem['kind'], text: string) => void,
  ) {}

  get whyStuck(): string {
    const live = [...this.steps].flatMap(([key, { tasks }]) =>
      [...tasks].filter(([, status]) => !hasEnded(status)).map(([id]) => `${id} (${key})`),
    );
    return live.length === 0
      ? `it is ${this.status}, though none of its tasks is left to do`
      : `it is ${this.status}; tasks that have not ended: ${live.join(', ')}`;
  }

  hear({ type, task_id, data }: HistoryEvent): void {
    const to = RUN_MOVES[type];
    if (type === 'workflow_executed') this.execute();
    else if (to !== undefined) this.move(type, to);
    else if (type in STEP_MOVES) this.moveStep(type, data.key as string);
    else if (task_id !== null && typeof data.step_key === 'string') this.hearTask(type, task_id, data.step_key, data);
  }

  private execute(): void {
    if (this.status === RunStatus.Scheduled) this.report('DUPLICATED', 'executed twice');
    // One that begins at once is logged in whichever order its transaction chose.
    this.status ??= RunStatus.Scheduled;
  }

  private move(type: string, to: RunStatus): void {
    const from = this.status ?? RunStatus.Scheduled;
    if (from === to) this.report('DUPLICATED', `${type} twice`);
    else if (!canRunMove(from, to)) this.report('OUT-OF-ORDER', `${type} of a run that is ${from}`);
    this.status = to;
    if (to !== RunStatus.Completed) return;
    for (const [key, { status, tasks }] of this.steps) {
      if (!hasStepEnded(status)) this.report('OUT-OF-ORDER', `completed while its step ${key} is ${status}`);
      for (const [id, task] of tasks)
        if (!hasEnded(task)) this.report('OUT-OF-ORDER', `completed while task ${id} of ${key} is ${task}`);
    }
  }

  private moveStep(type: string, key: string): void {
    const step = this.step(key);
    const to = STEP_MOVES[type]!;
    if (step.status === to) this.report('DUPLICATED', `${type} twice for ${key}`);
    else if (!canStepMove(step.status, to)) this.report('OUT-OF-ORDER', `${type} of ${key}, which is ${step.status}`);
    if (this.status !== RunStatus.Running && this.status !== RunStatus.Paused && to !== StepStatus.Skipped)
      this.report('OUT-OF-ORDER', `${type} of ${key} in a run that is ${this.status ?? 'not begun'}`);
    if (to === StepStatus.Running) this.expectDependencies(key, `${type} of ${key}`);
    if (to === StepStatus.Completed)
      for (const [id, status] of step.tasks)
        if (!hasEnded(status)) this.report('OUT-OF-ORDER', `step ${key} completed while its task ${id} is ${status}`);
    step.status = to;
  }

  private hearTask(type: string, task_id: string, key: string, { new_status, final }: Record<string, unknown>): void {
    const { tasks } = this.step(key);
    if (type === 'task_started') this.expectDependencies(key, `task ${task_id} of ${key} started`);
    const isList = this.definition.find((step) => step.key === key)?.is_list ?? true;
    if (type === 'task_created' && !isList && tasks.size > 0)
      this.report('DUPLICATED', `step ${key} has a second task: ${task_id}`);
    if (typeof new_status === 'string' && final !== false) tasks.set(task_id, new_status as TaskStatus);
  }

  private expectDependencies(key: string, what: string): void {
    for (const dependency of this.definition.find((step) => step.key === key)?.depends_on ?? []) {
      const { status } = this.step(dependency);
      if (!hasStepEnded(status))
        this.report('OUT-OF-ORDER', `${what} while ${dependency}, which it depends on, is ${status}`);
    }
  }

  private step(key: string): Step {
    const step = this.steps.get(key) ?? { status: StepStatus.Pending, tasks: new Map() };
    this.steps.set(key, step);
    return step;
  }
}

/** Each run and step lives by the table of its states, in the order of the definition, ends, and is in the database. */
export function checkRuns(history: History): Problem[] {
  const { events, rows } = history;
  const problems: Problem[] = [];
  const known = acknowledged(history, 'execute_workflow');
  const definitions = definitionsIn(history);
  const states = new Map(rows.filter(({ table }) => table === 'workflow_runs').map(({ id, status }) => [id, status]));

  for (const [run_id, own] of groupBy(events, (event) => event.run_id ?? (event.data.run_id as string | null))) {
    const report = (kind: Problem['kind'], text: string) => problems.push({ kind, subject: `run ${run_id}`, text });
    const story = new RunStory(definitions.get(own[0]!.workflow_id ?? '') ?? [], report);
    for (const event of own) story.hear(event);
    if (story.status !== null && isLive(story.status)) {
      if (known.has(run_id)) report('LOST', 'acknowledged, and never ended');
      report('STUCK', story.whyStuck);
    }
    if (rows.length === 0) continue;
    const [state, status]: (string | null | undefined)[] = [states.get(run_id), story.status];
    if (state === undefined) report('LOST', 'in the log, but not in the database');
    else if (state !== status) report('LOST', `${status} in the log, but ${state} in the database`);
  }
  return problems;
}

/** The steps of each workflow, as the client that created it noted them, also if it was never answered. */
function definitionsIn({ calls, events }: History): Map<string, StepNote[]> {
  const noted = groupBy(
    calls.filter(({ steps }) => steps !== undefined),
    ({ idempotency_key }) => idempotency_key,
  );
  const created = events.filter(({ type }) => type === 'workflow_created');
  return new Map(
    created.map(({ workflow_id, request_id }) => [workflow_id ?? '', noted.get(request_id ?? '')?.[0]?.steps ?? []]),
  );
}
