import { Injectable } from '@nestjs/common';
import { Database } from '../platform/database/database.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import type { TaskFailure } from '../tasks/task.entity.js';
import { TaskLifecycle } from '../tasks/task-lifecycle.js';
import { canMove, TaskStatus } from '../tasks/task-state.js';
import { TaskStore } from '../tasks/task-store.js';
import { lastSteps, onFailureOf } from './definition.js';
import { hasStepEnded, OnFailure, RunStatus, StepStatus } from './run-state.js';
import { type LiveRun, RunStateStore } from './run-state-store.js';
import { Workflow } from './workflow.entity.js';
import { WorkflowStatus } from './workflow-state.js';
import { RunCancelled, RunCompleted, RunFailed, RunStepSkipped, WorkflowUpdated } from './workflows.events.js';

const UNFINISHED = [TaskStatus.Pending, TaskStatus.Blocked, TaskStatus.InProgress, TaskStatus.WaitingForHitl];

/** How runs end: by themselves, by a failure, or because somebody says so. */
@Injectable()
export class RunEnding {
  constructor(
    private readonly database: Database,
    private readonly store: RunStateStore,
    private readonly taskStore: TaskStore,
    private readonly lifecycle: TaskLifecycle,
  ) {}

  /** Nothing is left to do. A failed step that was told to continue still makes the run a failed one. */
  async end(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, workflow, steps } = live;
    this.store.measure(live);
    const failed = steps.find(({ key, status }) => {
      const definition = run.definition?.steps.find((step) => step.key === key);
      return status === StepStatus.Failed && definition && onFailureOf(definition) === OnFailure.Continue;
    });
    const hasFailed = failed !== undefined || (run.definition === null && run.failed_tasks > 0);
    run.output = await this.outputOf(live);
    if (hasFailed) {
      run.error = failed
        ? { message: `Step ${failed.key} failed: ${failed.error?.message ?? ''}`, code: 'step_failed' }
        : { message: `${run.failed_tasks} of ${run.total_tasks} tasks did not complete`, code: 'tasks_failed' };
    }
    await this.close(tx, live, hasFailed ? RunStatus.Failed : RunStatus.Completed);
    tx.record(hasFailed ? new RunFailed(run, workflow, run.error) : new RunCompleted(run, workflow));
  }

  /** At once: what is not started is skipped, what is in progress is asked to stop. */
  async fail(tx: Transaction, live: LiveRun, error: TaskFailure): Promise<void> {
    const { run, workflow } = live;
    this.store.measure(live);
    run.error = error;
    await this.stopSteps(tx, live, StepStatus.Skipped);
    await this.close(tx, live, RunStatus.Failed);
    tx.record(new RunFailed(run, workflow, error));
    for (const task of await this.taskStore.lockAllOfRun(tx, run.id, UNFINISHED)) {
      if (canMove(task.status, TaskStatus.Skipped)) await this.lifecycle.skip(tx, task, 'Its run has failed');
      else await this.lifecycle.requestCancel(tx, task);
    }
  }

  async cancel(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, workflow } = live;
    this.store.measure(live);
    await this.stopSteps(tx, live, StepStatus.Cancelled);
    await this.close(tx, live, RunStatus.Cancelled);
    tx.record(new RunCancelled(run, workflow));
    for (const task of await this.taskStore.lockAllOfRun(tx, run.id, UNFINISHED)) {
      await this.lifecycle.requestCancel(tx, task);
    }
  }

  /** The workflow follows its newest run. */
  async follow(tx: Transaction, { run, workflow }: LiveRun): Promise<void> {
    if (workflow.latest_run_id !== run.id) return;
    const old_status = workflow.status;
    workflow.status = run.status as string as WorkflowStatus;
    workflow.is_paused = run.status === RunStatus.Paused;
    Object.assign(workflow, { started_at: run.started_at, completed_at: run.completed_at });
    const { id, status, is_paused, started_at, completed_at, actual_duration_hours, quality_metrics } = workflow;
    await tx.manager.update(
      Workflow,
      { id },
      {
        status,
        is_paused,
        started_at,
        completed_at,
        actual_duration_hours,
        quality_metrics,
        updated_at: new Date(),
      },
    );
    if (old_status !== status) tx.record(new WorkflowUpdated(workflow, { status }, old_status));
  }

  private async close(tx: Transaction, live: LiveRun, status: RunStatus): Promise<void> {
    const { run, workflow } = live;
    run.moveTo(status);
    run.completed_at = await this.taskStore.now();
    await this.store.saveRun(tx, live);
    if (workflow.latest_run_id === run.id) {
      const hours = (run.completed_at.getTime() - (run.started_at ?? run.completed_at).getTime()) / 3_600_000;
      workflow.actual_duration_hours = hours;
      workflow.quality_metrics = await this.qualityOf(live, hours);
    }
    await this.follow(tx, live);
  }

  private async stopSteps(tx: Transaction, live: LiveRun, pendingBecome: StepStatus): Promise<void> {
    const now = await this.taskStore.now();
    for (const step of live.steps.filter(({ status }) => !hasStepEnded(status))) {
      const wasRunning = step.status === StepStatus.Running;
      step.moveTo(wasRunning ? StepStatus.Cancelled : pendingBecome, now);
      // Tells it from a step that was skipped because nobody wanted it: a rerun makes good for this one.
      if (step.status === StepStatus.Skipped)
        step.error = { message: 'The run failed before it began', code: 'run_failed' };
      await this.store.saveStep(tx, step);
      if (step.status === StepStatus.Skipped) tx.record(new RunStepSkipped(live.run, live.workflow, step));
    }
  }

  /** The outputs of the last steps, by key. */
  private async outputOf({ run }: LiveRun): Promise<Record<string, unknown> | null> {
    if (run.definition === null) return null;
    const rows = await this.database.query<{ key: string; output: unknown }>(
      'SELECT key, output FROM run_steps WHERE run_id = $1 AND key = ANY ($2) ORDER BY position',
      [run.id, lastSteps(run.definition)],
    );
    return Object.fromEntries(rows.map(({ key, output }) => [key, output]));
  }

  /** 0-100 each: completed of all ended tasks, the mean of their scores, the estimate in relation to the real time. */
  private async qualityOf({ run, workflow }: LiveRun, hours: number) {
    const ended = run.completed_tasks + run.failed_tasks;
    const [row] = await this.database.query<{ score: number | null }>(
      'SELECT avg(quality_score)::float8 AS score FROM tasks WHERE run_id = $1',
      [run.id],
    );
    const estimate = workflow.estimated_duration_hours;
    return {
      success_rate: ended === 0 ? null : (run.completed_tasks / ended) * 100,
      quality_score: row!.score,
      efficiency_score: estimate === null || hours === 0 ? null : Math.min(100, (estimate / hours) * 100),
    };
  }
}
