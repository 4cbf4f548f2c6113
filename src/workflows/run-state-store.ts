import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { TaskStore } from '../tasks/task-store.js';
import type { Scope } from './expressions.js';
import { CONDITIONS, GET_RUN, INSERT_RUN, KEEP_OUTPUT, LOAD_RUN, SAVE_RUN, STEP_OUTPUTS } from './run.sql.js';
import { hasStepEnded, isLive, RunStatus } from './run-state.js';
import { RunStep } from './run-step.entity.js';
import { WorkflowRun } from './workflow-run.entity.js';
import type { Workflow } from './workflow.entity.js';
import type { WorkflowStatus } from './workflow-state.js';
import { WorkflowProgressUpdated, WorkflowUpdated } from './workflows.events.js';

/** What a run needs of its workflow, and shows on it. */
export type RunWorkflow = Pick<
  Workflow,
  | 'id'
  | 'project_id'
  | 'name'
  | 'status'
  | 'parameters'
  | 'latest_run_id'
  | 'is_paused'
  | 'progress_percentage'
  | 'total_tasks'
  | 'completed_tasks'
  | 'failed_tasks'
  | 'estimated_duration_hours'
  | 'actual_duration_hours'
  | 'quality_metrics'
>;

/** A run in the hands of the transaction that has locked it: changed in memory, then saved as a whole. */
export interface LiveRun {
  run: WorkflowRun;
  workflow: RunWorkflow;
  steps: RunStep[];
  /** Who may do its tasks; null: anyone. */
  allowed_agent_ids: string[] | null;
  /** The transaction's time, by the database's clock. */
  now: Date;
  /** The rows of the steps as the database has them, by key. */
  saved: Map<string, string>;
}

export interface RunWithSteps {
  run: WorkflowRun;
  steps: RunStep[];
}

type Loaded = WorkflowRun & Pick<LiveRun, 'workflow' | 'steps' | 'allowed_agent_ids' | 'now'>;

/** Loads, locks and saves what the engine works on. All state of a run is in the database, none in memory. */
@Injectable()
export class RunStateStore {
  constructor(
    private readonly database: Database,
    private readonly tasks: TaskStore,
  ) {}

  /** Null when there is no such run. */
  async find(run_id: string): Promise<RunWithSteps | null> {
    const [row] = await this.database.query<Loaded & Record<string, unknown>>(GET_RUN, [run_id]);
    if (!row) return null;
    const { steps, ...run } = row;
    return { run: Object.assign(new WorkflowRun(), run), steps: steps.map(stepOf) };
  }

  /** Null when there is no such run. */
  async lock(run_id: string): Promise<LiveRun | null> {
    await this.tasks.lockRun(run_id);
    const [row] = await this.database.query<Loaded & Record<string, unknown>>(LOAD_RUN, [run_id]);
    if (!row) return null;
    const { workflow, allowed_agent_ids, now, steps: rows, ...run } = row;
    const steps = rows.map(stepOf);
    const saved = new Map(steps.map((step) => [step.key, rowOf(step)]));
    return { run: Object.assign(new WorkflowRun(), run), workflow, steps, allowed_agent_ids, now, saved };
  }

  /** What a run begins with. */
  async conditions(workflow_id: string): Promise<Pick<LiveRun, 'now' | 'allowed_agent_ids'>> {
    const [row] = await this.database.query<Pick<LiveRun, 'now' | 'allowed_agent_ids'>>(CONDITIONS, [workflow_id]);
    return row!;
  }

  async insert({ run, steps }: RunWithSteps): Promise<void> {
    await this.database.query(INSERT_RUN, [JSON.stringify(run), JSON.stringify(steps)]);
  }

  /** How far the run is. To be called before a run is stopped: what is then left undone must not count as done. */
  measure({ run, steps }: Pick<LiveRun, 'run' | 'steps'>): void {
    run.progress_percentage = progressOf(run, steps);
  }

  /** The workflow shows its newest run. */
  follow(tx: Transaction, live: LiveRun): void {
    const { run, workflow } = live;
    if (isLive(run.status)) this.measure(live);
    if (workflow.latest_run_id !== run.id) return;
    const { progress_percentage, total_tasks, completed_tasks, failed_tasks } = run;
    const counts = { progress_percentage, total_tasks, completed_tasks, failed_tasks };
    const hasGrown = Math.floor(progress_percentage) !== Math.floor(workflow.progress_percentage);
    Object.assign(workflow, counts);
    if (hasGrown) tx.record(new WorkflowProgressUpdated(workflow, run.id, counts));
    const old_status = workflow.status;
    workflow.status = run.status as string as WorkflowStatus;
    workflow.is_paused = run.status === RunStatus.Paused;
    if (old_status !== workflow.status) {
      tx.record(new WorkflowUpdated(workflow, { status: workflow.status }, old_status));
    }
  }

  /** Writes what has changed, in one statement. Every way through the engine ends here. */
  async save(tx: Transaction, live: LiveRun): Promise<void> {
    this.follow(tx, live);
    const { run, workflow, steps, saved } = live;
    const changed = steps
      .map((step) => ({ key: step.key, row: rowOf(step) }))
      .filter(({ key, row }) => saved.get(key) !== row);
    const { started_at, completed_at } = run;
    const shown = workflow.latest_run_id === run.id ? JSON.stringify({ ...workflow, started_at, completed_at }) : null;
    const { definition: _definition, input: _input, ...changeable } = run;
    await this.database.query(SAVE_RUN, [
      JSON.stringify(changeable),
      `[${changed.map(({ row }) => row).join(',')}]`,
      shown,
    ]);
    for (const { key, row } of changed) saved.set(key, row);
  }

  /** Keeps a step's output, unless it is larger than the limit. Answers its bytes. */
  async keepOutput(run_id: string, key: string, isList: boolean, limit: number): Promise<number> {
    const [row] = await this.database.query<{ bytes: number }>(KEEP_OUTPUT, [run_id, key, isList, limit]);
    return row!.bytes;
  }

  /** By the key of the step. */
  async outputs(run_id: string, keys: readonly string[]): Promise<Record<string, unknown>> {
    if (keys.length === 0) return {};
    const [row] = await this.database.query<{ outputs: Record<string, unknown> | null }>(STEP_OUTPUTS, [run_id, keys]);
    return row!.outputs ?? {};
  }

  /** What expressions may speak of, with the outputs of the steps that they name. */
  async scope({ run, workflow, steps }: LiveRun, keys: readonly string[]): Promise<Scope> {
    const outputs = await this.outputs(run.id, keys);
    const named = steps.filter(({ key }) => keys.includes(key));
    return {
      input: run.input,
      steps: Object.fromEntries(named.map(({ key, status }) => [key, { status, output: outputs[key] ?? null }])),
      run: {
        id: run.id,
        run_number: run.run_number,
        trigger: run.trigger,
        started_at: run.started_at?.toISOString() ?? null,
      },
      workflow: {
        id: workflow.id,
        name: workflow.name,
        project_id: workflow.project_id,
        parameters: workflow.parameters,
      },
    };
  }
}

/** From JSON, which has no dates. */
const stepOf = ({ started_at, completed_at, ...fields }: RunStep): RunStep =>
  Object.assign(new RunStep(), fields, {
    started_at: started_at && new Date(started_at),
    completed_at: completed_at && new Date(completed_at),
  });

/** What the engine changes of a step. Its output is written by `keepOutput` alone. */
function rowOf({ run_id, key, status, tasks_total, tasks_completed, tasks_failed, ...rest }: RunStep): string {
  const { started_at, completed_at, error } = rest;
  const counts = { tasks_total, tasks_completed, tasks_failed };
  return JSON.stringify({ run_id, key, status, ...counts, started_at, completed_at, error });
}

/** 0-100: every step counts the same, a step by its tasks; without steps all tasks count the same. */
function progressOf(run: WorkflowRun, steps: readonly RunStep[]): number {
  const round = (value: number) => Math.round(value * 100) / 100;
  if (steps.length === 0) {
    const ended = run.completed_tasks + run.failed_tasks;
    if (run.total_tasks === 0) return run.started_at === null ? 0 : 100;
    return round((ended / run.total_tasks) * 100);
  }
  const parts = steps.map(({ status, tasks_total, tasks_completed, tasks_failed }) => {
    if (hasStepEnded(status)) return 1;
    return tasks_total === 0 ? 0 : (tasks_completed + tasks_failed) / tasks_total;
  });
  return round((parts.reduce((sum, part) => sum + part, 0) / steps.length) * 100);
}
