import { Injectable } from '@nestjs/common';
import type { Transaction } from '../platform/database/unit-of-work.js';
import type { TaskFailure } from '../tasks/task.entity.js';
import { TaskLifecycle } from '../tasks/task-lifecycle.js';
import { canMove, TaskStatus } from '../tasks/task-state.js';
import { TaskStore } from '../tasks/task-store.js';
import { lastSteps, onFailureOf } from './definition.js';
import type { RunStep } from './run-step.entity.js';
import { hasStepEnded, OnFailure, RunStatus, StepStatus } from './run-state.js';
import { type LiveRun, RunStateStore } from './run-state-store.js';
import { RunCancelled, RunCompleted, RunFailed, RunStepSkipped } from './workflows.events.js';

const UNFINISHED = [TaskStatus.Pending, TaskStatus.Blocked, TaskStatus.InProgress, TaskStatus.WaitingForHitl];

/** How runs end: by themselves, by a failure, or because somebody says so. */
@Injectable()
export class RunEnding {
  private readonly ended = new WeakMap<Transaction, Set<string>>();

  constructor(
    private readonly store: RunStateStore,
    private readonly taskStore: TaskStore,
    private readonly lifecycle: TaskLifecycle,
  ) {}

  /** Whether this transaction ended the run: what becomes of its tasks after that need not be told to it, one by one. */
  hasEnded(tx: Transaction, run_id: string): boolean {
    return this.ended.get(tx)?.has(run_id) ?? false;
  }

  /** Nothing is left to do. A failed step that was told to continue still makes the run a failed one. */
  async end(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, workflow, steps } = live;
    this.store.measure(live);
    const failed = steps.find(({ key, status }) => {
      const definition = run.definition?.steps.find((step) => step.key === key);
      return status === StepStatus.Failed && definition && onFailureOf(definition) === OnFailure.Continue;
    });
    const hasFailed = failed !== undefined || (run.definition === null && run.failed_tasks > 0);
    run.output = run.definition && (await this.store.outputs(live, lastSteps(run.definition)));
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
    const tasks = await this.taskStore.lockAllOfRun(tx, run.id, UNFINISHED);
    const idle = tasks.filter(({ status }) => canMove(status, TaskStatus.Skipped));
    const begun = tasks.filter(({ status }) => !canMove(status, TaskStatus.Skipped));
    this.stopSteps(tx, live, ({ key, tasks_completed, tasks_failed }) => {
      const hasBegun = tasks_completed + tasks_failed > 0 || begun.some(({ step_key }) => step_key === key);
      return hasBegun ? StepStatus.Cancelled : StepStatus.Skipped;
    });
    await this.close(tx, live, RunStatus.Failed);
    tx.record(new RunFailed(run, workflow, error));
    await this.lifecycle.skipAll(tx, idle, 'Its run has failed');
    await this.lifecycle.requestCancelOfAll(tx, begun);
  }

  async cancel(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, workflow } = live;
    this.store.measure(live);
    this.stopSteps(tx, live, () => StepStatus.Cancelled);
    await this.close(tx, live, RunStatus.Cancelled);
    tx.record(new RunCancelled(run, workflow));
    const tasks = await this.taskStore.lockAllOfRun(tx, run.id, UNFINISHED);
    await this.lifecycle.requestCancelOfAll(tx, tasks);
  }

  private async close(tx: Transaction, live: LiveRun, status: RunStatus): Promise<void> {
    const { run, workflow } = live;
    run.moveTo(status);
    this.ended.set(tx, new Set(this.ended.get(tx)).add(run.id));
    run.completed_at = live.now;
    if (workflow.latest_run_id === run.id) {
      const hours = (run.completed_at.getTime() - (run.started_at ?? run.completed_at).getTime()) / 3_600_000;
      workflow.actual_duration_hours = hours;
      workflow.quality_metrics = await this.qualityOf(live, hours);
    }
    this.store.follow(tx, live);
  }

  private stopSteps(
    tx: Transaction,
    live: LiveRun,
    become: (step: RunStep) => StepStatus.Cancelled | StepStatus.Skipped,
  ): void {
    for (const step of live.steps.filter(({ status }) => !hasStepEnded(status))) {
      step.moveTo(become(step), live.now);
      if (step.status !== StepStatus.Skipped) continue;
      // Tells it from a step that was skipped because nobody wanted it: a rerun makes good for this one.
      step.error = { message: 'The run failed before it began', code: 'run_failed' };
      tx.record(new RunStepSkipped(live.run, live.workflow, step));
    }
  }

  /** 0-100 each: completed of all ended tasks, the mean of their scores, the estimate in relation to the real time. */
  private async qualityOf({ run, workflow }: LiveRun, hours: number) {
    const ended = run.completed_tasks + run.failed_tasks;
    const estimate = workflow.estimated_duration_hours;
    return {
      success_rate: ended === 0 ? null : (run.completed_tasks / ended) * 100,
      quality_score: await this.store.meanScore(run.id),
      efficiency_score: estimate === null || hours === 0 ? null : Math.min(100, (estimate / hours) * 100),
    };
  }
}
