import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';
import { Gather, inOrder } from '../platform/database/gather.js';
import { assertNotShared } from '../platform/database/share-transaction.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { TaskStore } from '../tasks/task-store.js';
import type { Scope } from './expressions.js';
import {
  CONDITIONS,
  GET_RUNS,
  INSERT_RUNS,
  KEEP_OUTPUTS,
  LOAD_RUNS,
  MEAN_SCORES,
  SAVE_RUNS,
  STEP_OUTPUTS,
} from './run.sql.js';
import { hasStepEnded, isLive, RunStatus } from './run-state.js';
import { RunStep } from './run-step.entity.js';
import { WorkflowRun } from './workflow-run.entity.js';
import type { Workflow } from './workflow.entity.js';
import type { WorkflowStatus } from './workflow-state.js';
import { WorkflowProgressUpdated, WorkflowUpdated } from './workflows.events.js';

/** All outputs of a step together. */
export const MAX_STEP_OUTPUT_BYTES = 16 * 1_048_576;
/** The output of a step that has just ended stays at hand, unless it is larger. */
const SMALL_OUTPUT_BYTES = 16_384;

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
  /** Of steps that have just ended, by key: what need not be read. */
  outputs: Map<string, unknown>;
}

export interface NewRunWithSteps {
  run: WorkflowRun;
  steps: RunStep[];
}

export interface RunWithSteps extends NewRunWithSteps {
  /** That of its workflow. */
  project_id: string | null;
}

type Found = WorkflowRun & Pick<RunWithSteps, 'steps' | 'project_id'>;
type Loaded = WorkflowRun & Pick<LiveRun, 'workflow' | 'steps' | 'allowed_agent_ids' | 'now'>;
type Conditions = Pick<LiveRun, 'now' | 'allowed_agent_ids'>;
type Row<T> = T & Record<string, unknown>;

/** What is to be kept of a step that has ended. */
interface EndedStep {
  run_id: string;
  key: string;
  isList: boolean;
}

/** Its size and, if it is small, the output. */
interface Kept {
  run_id: string;
  key: string;
  bytes: number;
  output: unknown;
}

/** JSON of a run's row, of its changed steps, and of what its workflow shows, if it is the newest run of it. */
interface SavedRun {
  run: string;
  steps: string[];
  workflow: string | null;
}

/**
 * Loads, locks and saves what the engine works on. All state of a run is in the database, none in memory. Runs that one
 * transaction moves on in step share their statements.
 */
@Injectable()
export class RunStateStore {
  private readonly found = new Gather((ids: string[]) => this.findAll(ids));
  private readonly loaded = new Gather((ids: string[]) => this.loadAll(ids));
  private readonly started = new Gather((workflow_ids: string[]) => this.conditionsOfAll(workflow_ids));
  private readonly inserted = new Gather((runs: NewRunWithSteps[]) => this.insertAll(runs));
  private readonly saved = new Gather((runs: SavedRun[]) => this.saveAll(runs));
  private readonly kept = new Gather((steps: EndedStep[]) => this.keepAll(steps));
  private readonly read = new Gather((wanted: { run_id: string; keys: readonly string[] }[]) => this.readAll(wanted));
  private readonly scored = new Gather((run_ids: string[]) => this.scoresOfAll(run_ids));

  constructor(
    private readonly database: Database,
    private readonly tasks: TaskStore,
  ) {}

  /** Null when there is no such run. */
  async find(run_id: string): Promise<RunWithSteps | null> {
    const row = await this.found.add(run_id);
    if (!row) return null;
    const { steps, project_id, ...run } = row;
    return { run: Object.assign(new WorkflowRun(), run), project_id, steps: steps.map(stepOf) };
  }

  /** Null when there is no such run. */
  async lock(run_id: string): Promise<LiveRun | null> {
    await this.tasks.lockRun(run_id);
    const row = await this.loaded.add(run_id);
    if (!row) return null;
    const { workflow, allowed_agent_ids, now, steps: rows, ...run } = row;
    const steps = rows.map(stepOf);
    const saved = new Map(steps.map((step) => [step.key, rowOf(step)]));
    const outputs = new Map<string, unknown>();
    return { run: Object.assign(new WorkflowRun(), run), workflow, steps, allowed_agent_ids, now, saved, outputs };
  }

  /** What a run begins with. */
  conditions(workflow_id: string): Promise<Conditions> {
    return this.started.add(workflow_id);
  }

  insert(run: NewRunWithSteps): Promise<void> {
    return this.inserted.add(run);
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
    await this.saved.add({ run: JSON.stringify(changeable), steps: changed.map(({ row }) => row), workflow: shown });
    for (const { key, row } of changed) saved.set(key, row);
  }

  /** Keeps a step's output, unless it is larger than {@link MAX_STEP_OUTPUT_BYTES}. Answers its bytes. */
  async keepOutput({ run, outputs }: LiveRun, key: string, isList: boolean): Promise<number> {
    const { bytes, output } = await this.kept.add({ run_id: run.id, key, isList });
    if (bytes <= SMALL_OUTPUT_BYTES) outputs.set(key, output);
    return bytes;
  }

  /** By the key of the step. */
  async outputs({ run, outputs }: LiveRun, keys: readonly string[]): Promise<Record<string, unknown>> {
    if (!keys.every((key) => outputs.has(key))) return this.read.add({ run_id: run.id, keys });
    return Object.fromEntries(keys.map((key) => [key, outputs.get(key)]));
  }

  /** The mean quality score of its tasks, 0-10; null when none has one. */
  meanScore(run_id: string): Promise<number | null> {
    return this.scored.add(run_id);
  }

  /** What expressions may speak of, with the outputs of the steps that they name. */
  async scope(live: LiveRun, keys: readonly string[]): Promise<Scope> {
    const { run, workflow, steps } = live;
    const outputs = await this.outputs(live, keys);
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

  private async findAll(ids: string[]): Promise<(Row<Found> | null)[]> {
    return inOrder(ids, await this.database.query<Row<Found>>(GET_RUNS, [ids]), 'id');
  }

  private async loadAll(ids: string[]): Promise<(Row<Loaded> | null)[]> {
    return inOrder(ids, await this.database.query<Row<Loaded>>(LOAD_RUNS, [ids]), 'id');
  }

  private async conditionsOfAll(workflow_ids: string[]): Promise<Conditions[]> {
    const rows = await this.database.query<Row<Conditions>>(CONDITIONS, [workflow_ids]);
    return inOrder(workflow_ids, rows, 'id') as Conditions[];
  }

  private async insertAll(runs: NewRunWithSteps[]): Promise<void[]> {
    const steps = runs.flatMap((each) => each.steps);
    this.database.send(INSERT_RUNS, [JSON.stringify(runs.map(({ run }) => run)), JSON.stringify(steps)]);
    return [];
  }

  private async saveAll(runs: SavedRun[]): Promise<void[]> {
    const workflows = runs.flatMap(({ workflow }) => workflow ?? []);
    const lists = [runs.map(({ run }) => run), runs.flatMap(({ steps }) => steps), workflows];
    this.database.send(
      SAVE_RUNS,
      lists.map((rows) => `[${rows.join(',')}]`),
    );
    return [];
  }

  private async keepAll(steps: EndedStep[]): Promise<Kept[]> {
    const all = <Name extends keyof EndedStep>(name: Name) => steps.map((step) => step[name]);
    const values = [all('run_id'), all('key'), all('isList'), MAX_STEP_OUTPUT_BYTES, SMALL_OUTPUT_BYTES];
    const rows = await this.database.query<Row<Kept>>(KEEP_OUTPUTS, values);
    const kept = new Map(rows.map((row) => [`${row.run_id}/${row.key}`, row]));
    return steps.map(({ run_id, key }) => kept.get(`${run_id}/${key}`)!);
  }

  private async readAll(wanted: { run_id: string; keys: readonly string[] }[]): Promise<Record<string, unknown>[]> {
    const pairs = wanted.flatMap(({ run_id, keys }) => keys.map((key) => ({ run_id, key })));
    const limit = wanted.length > 1 ? MAX_STEP_OUTPUT_BYTES : null;
    const values = [pairs.map(({ run_id }) => run_id), pairs.map(({ key }) => key), limit];
    const rows = await this.database.query<Row<{ outputs: Record<string, unknown> }>>(STEP_OUTPUTS, values);
    if (limit !== null && rows.length === 0) {
      assertNotShared();
      const each: Record<string, unknown>[] = [];
      for (const one of wanted) each.push(...(await this.readAll([one])));
      return each;
    }
    const run_ids = wanted.map(({ run_id }) => run_id);
    return inOrder(run_ids, rows, 'run_id').map((row) => row?.outputs ?? {});
  }

  private async scoresOfAll(run_ids: string[]): Promise<(number | null)[]> {
    const rows = await this.database.query<Row<{ score: number | null }>>(MEAN_SCORES, [run_ids]);
    return inOrder(run_ids, rows, 'run_id').map((row) => row?.score ?? null);
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
