import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { TaskStore } from '../tasks/task-store.js';
import type { Scope } from './expressions.js';
import { hasStepEnded, isLive } from './run-state.js';
import { RunStep } from './run-step.entity.js';
import { Workflow } from './workflow.entity.js';
import { WorkflowAgent } from './workflow-agent.entity.js';
import { WorkflowRun } from './workflow-run.entity.js';
import { WorkflowProgressUpdated } from './workflows.events.js';

/** The steps' own outputs stay in the database until an expression asks for them: they can be large. */
const STEP_COLUMNS = [
  'run_id',
  'key',
  'position',
  'status',
  'tasks_total',
  'tasks_completed',
  'tasks_failed',
  'started_at',
  'completed_at',
  'error',
] as const;

/** A run in the hands of the transaction that has locked it. */
export interface LiveRun {
  run: WorkflowRun;
  workflow: Workflow;
  steps: RunStep[];
}

/** Loads, locks and saves what the engine works on. All state of a run is in the database, none in memory. */
@Injectable()
export class RunStateStore {
  constructor(
    private readonly database: Database,
    private readonly tasks: TaskStore,
  ) {}

  /** Null when there is no such run. */
  async lock(tx: Transaction, run_id: string): Promise<LiveRun | null> {
    await this.tasks.lockRun(run_id);
    const run = await tx.manager.findOne(WorkflowRun, { where: { id: run_id }, lock: { mode: 'pessimistic_write' } });
    if (!run) return null;
    const workflow = await tx.manager.findOneOrFail(Workflow, { where: { id: run.workflow_id } });
    const steps = await tx.manager.find(RunStep, {
      where: { run_id },
      select: Object.fromEntries(STEP_COLUMNS.map((column) => [column, true])),
      order: { position: 'ASC' },
    });
    return { run, workflow, steps };
  }

  async saveStep(tx: Transaction, step: RunStep): Promise<void> {
    const { run_id, key, status, tasks_total, tasks_completed, tasks_failed, started_at, completed_at, error } = step;
    const changes = { status, tasks_total, tasks_completed, tasks_failed, started_at, completed_at, error };
    await tx.manager.update(RunStep, { run_id, key }, changes);
  }

  /** How far the run is. To be called before a run is stopped: what is then left undone must not count as done. */
  measure({ run, steps }: LiveRun): void {
    run.progress_percentage = progressOf(run, steps);
  }

  async saveRun(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, workflow } = live;
    if (isLive(run.status)) this.measure(live);
    run.touch();
    const { id, status, output, error, progress_percentage, total_tasks, completed_tasks, failed_tasks } = run;
    const { started_at, completed_at, updated_at } = run;
    const counts = { progress_percentage, total_tasks, completed_tasks, failed_tasks };
    const changes = { status, output, error, ...counts, started_at, completed_at, updated_at };
    // TypeORM's type of a partial update does not know free-form JSON.
    await tx.manager.update(WorkflowRun, { id }, changes as never);
    if (workflow.latest_run_id !== id) return;
    const hasGrown = Math.floor(progress_percentage) !== Math.floor(workflow.progress_percentage);
    await this.saveProgress(tx, live);
    if (hasGrown) tx.record(new WorkflowProgressUpdated(workflow, id, counts));
  }

  /** The workflow shows the progress of its newest run. */
  async saveProgress(tx: Transaction, { run, workflow }: Pick<LiveRun, 'run' | 'workflow'>): Promise<void> {
    const { progress_percentage, total_tasks, completed_tasks, failed_tasks } = run;
    const counts = { progress_percentage, total_tasks, completed_tasks, failed_tasks };
    if (Object.entries(counts).every(([name, count]) => workflow[name as keyof typeof counts] === count)) return;
    Object.assign(workflow, counts);
    await tx.manager.update(Workflow, { id: workflow.id }, { ...counts, updated_at: new Date() });
  }

  /** What expressions may speak of, with the outputs of the steps that they name. */
  async scope({ run, workflow }: LiveRun, keys: readonly string[]): Promise<Scope> {
    const rows =
      keys.length === 0
        ? []
        : await this.database.query<Pick<RunStep, 'key' | 'status' | 'output'>>(
            'SELECT key, status, output FROM run_steps WHERE run_id = $1 AND key = ANY ($2)',
            [run.id, keys],
          );
    return {
      input: run.input,
      steps: Object.fromEntries(rows.map(({ key, status, output }) => [key, { status, output }])),
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

  async allowedAgents(tx: Transaction, workflow_id: string): Promise<string[] | null> {
    const agents = await tx.manager.findBy(WorkflowAgent, { workflow_id });
    return agents.length === 0 ? null : agents.map(({ agent_id }) => agent_id);
  }
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
