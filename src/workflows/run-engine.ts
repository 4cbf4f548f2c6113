import { Injectable } from '@nestjs/common';
import { continueIn, currentContext, type RequestContext } from '../platform/context/request-context.js';
import { inStep } from '../platform/database/gather.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { TaskStatus } from '../tasks/task-state.js';
import type { TaskFailure } from '../tasks/task.entity.js';
import { TaskStore } from '../tasks/task-store.js';
import { referencedSteps } from './check-definition.js';
import { onFailureOf, type Step } from './definition.js';
import { ExpressionFailed } from './expressions.js';
import { RunEnding } from './run-ending.js';
import { RunTasks } from './run-tasks.js';
import { hasStepEnded, isLive, OnFailure, RunStatus, StepStatus } from './run-state.js';
import { type LiveRun, MAX_STEP_OUTPUT_BYTES, RunStateStore } from './run-state-store.js';
import { RunStep } from './run-step.entity.js';
import { isWanted, tasksOf } from './step-tasks.js';
import { RunIsOver } from './workflows.errors.js';
import { RunStarted, RunStepCompleted, RunStepFailed, RunStepSkipped, RunStepStarted } from './workflows.events.js';

/** A task of the run has ended. */
export interface TaskEnd {
  run_id: string;
  task_id: string;
  step_key: string | null;
  status: TaskStatus;
  error: TaskFailure | null;
}

/**
 * Moves runs on. It acts only within transactions that change something a run depends on, so a run needs no process of
 * its own: whatever dies, the next event of the run finds everything in the database.
 */
@Injectable()
export class RunEngine {
  /** By run. */
  private readonly ended = new WeakMap<Transaction, Map<string, { ends: TaskEnd[]; context: RequestContext }>>();

  constructor(
    private readonly store: RunStateStore,
    private readonly taskStore: TaskStore,
    private readonly tasks: RunTasks,
    private readonly ending: RunEnding,
  ) {}

  /** Starts a run whose steps may already hold the results of an earlier one. */
  async begin(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, workflow } = live;
    run.moveTo(RunStatus.Running);
    run.started_at = live.now;
    tx.record(new RunStarted(run, workflow));
    if (run.definition === null) run.total_tasks = await this.tasks.adopt(tx, live);
    await this.advance(tx, live);
  }

  /** Moves its run on, together with what else this transaction ends. */
  taskEnded(tx: Transaction, end: TaskEnd): void {
    let runs = this.ended.get(tx);
    if (!runs) {
      runs = new Map();
      this.ended.set(tx, runs);
      tx.whenHandled(() => this.moveOn(tx));
    }
    const ended = runs.get(end.run_id) ?? { ends: [], context: { ...currentContext() } };
    ended.ends.push(end);
    runs.set(end.run_id, ended);
  }

  private async moveOn(tx: Transaction): Promise<void> {
    const runs = this.ended.get(tx)!;
    this.ended.delete(tx);
    await inStep([...runs], ([run_id, { ends, context }]) =>
      continueIn(context, () => this.tasksEnded(tx, run_id, ends)),
    );
  }

  private async tasksEnded(tx: Transaction, run_id: string, ends: readonly TaskEnd[]): Promise<void> {
    if (this.ending.hasEnded(tx, run_id)) return;
    const live = await this.store.lock(run_id);
    if (!live || !isLive(live.run.status)) return;
    const { run } = live;
    if (run.definition === null) Object.assign(run, await this.tasks.count(run_id));
    else {
      for (const end of ends) if (isLive(run.status)) await this.countEnd(tx, live, end);
      await this.releaseBehind(tx, live, ends);
    }
    await this.advance(tx, live);
  }

  /** What has ended makes room for what `max_parallel` holds back. */
  private async releaseBehind(tx: Transaction, { run, steps }: LiveRun, ends: readonly TaskEnd[]): Promise<void> {
    if (run.status !== RunStatus.Running) return;
    for (const definition of run.definition!.steps.filter(({ key }) => ends.some((end) => end.step_key === key))) {
      const step = steps.find(({ key }) => key === definition.key);
      if (step?.status === StepStatus.Running) await this.tasks.releaseNext(tx, run.id, definition);
    }
  }

  private async countEnd(tx: Transaction, live: LiveRun, end: TaskEnd): Promise<void> {
    const { run } = live;
    const step = live.steps.find(({ key }) => key === end.step_key);
    const definition = run.definition!.steps.find(({ key }) => key === end.step_key);
    // A task that people put into the run by hand has no step.
    if (!step || !definition || step.status !== StepStatus.Running) return;
    const isDone = end.status === TaskStatus.Completed || onFailureOf(definition) === OnFailure.Ignore;
    if (isDone) {
      step.tasks_completed++;
      run.completed_tasks++;
    } else {
      step.tasks_failed++;
      run.failed_tasks++;
      step.error ??= end.error ?? { message: `A task of the step is ${end.status}`, code: end.status };
    }
    if (!isDone && onFailureOf(definition) === OnFailure.Fail) await this.failStep(tx, live, step, step.error!);
    else if (step.tasks_completed + step.tasks_failed >= step.tasks_total)
      await this.settleStep(tx, live, step, definition);
  }

  /** A task that had ended, though not completed, begins anew. Throws RunIsOver: nobody would wait for its result. */
  async taskRevived(tx: Transaction, run_id: string, step_key: string | null): Promise<void> {
    const live = await this.store.lock(run_id);
    if (!live) return;
    if (!isLive(live.run.status)) throw new RunIsOver(live.run);
    const { run } = live;
    if (run.definition === null) Object.assign(run, await this.tasks.count(run.id));
    const step = live.steps.find(({ key }) => key === step_key);
    const definition = run.definition?.steps.find(({ key }) => key === step_key);
    if (definition && step?.status === StepStatus.Running) {
      const counter = onFailureOf(definition) === OnFailure.Ignore ? 'tasks_completed' : 'tasks_failed';
      step[counter]--;
      run[counter === 'tasks_completed' ? 'completed_tasks' : 'failed_tasks']--;
      if (step.tasks_failed === 0) step.error = null;
    }
    await this.store.save(tx, live);
  }

  /** Starts what can start, and ends the run when nothing is left. */
  async advance(tx: Transaction, live: LiveRun): Promise<void> {
    const { run, steps } = live;
    if (run.status === RunStatus.Running) {
      for (let step = this.nextStep(live); step && run.status === RunStatus.Running; step = this.nextStep(live)) {
        await this.startStep(tx, live, step);
      }
    }
    const isOver =
      run.definition === null
        ? run.completed_tasks + run.failed_tasks >= run.total_tasks
        : steps.every(({ status }) => hasStepEnded(status));
    if (isOver && isLive(run.status)) await this.ending.end(tx, live);
    await this.store.save(tx, live);
  }

  private nextStep({ run, steps }: LiveRun): RunStep | undefined {
    const statuses = new Map(steps.map(({ key, status }) => [key, status]));
    const isPassed = (key: string) => {
      const status = statuses.get(key)!;
      return hasStepEnded(status) && status !== StepStatus.Cancelled;
    };
    return steps.find(({ key, status }) => {
      const definition = run.definition?.steps.find((each) => each.key === key);
      return status === StepStatus.Pending && (definition?.depends_on ?? []).every(isPassed);
    });
  }

  private async startStep(tx: Transaction, live: LiveRun, step: RunStep): Promise<void> {
    const { run, workflow, allowed_agent_ids, now } = live;
    const definition = run.definition!.steps.find(({ key }) => key === step.key)!;
    try {
      const scope = await this.store.scope(live, referencedSteps(definition));
      if (!isWanted(definition, scope)) {
        step.moveTo(StepStatus.Skipped, now);
        tx.record(new RunStepSkipped(run, workflow, step));
        return;
      }
      const { id: run_id } = run;
      const fields = { project_id: workflow.project_id, workflow_id: workflow.id, run_id, allowed_agent_ids };
      const tasks = tasksOf(definition, scope, fields, run.definition!.concurrency);
      step.moveTo(StepStatus.Running, now);
      step.tasks_total = tasks.length;
      run.total_tasks += tasks.length;
      tx.record(new RunStepStarted(run, workflow, step));
      await this.taskStore.createMany(tx, tasks);
      if (tasks.length === 0) await this.settleStep(tx, live, step, definition);
    } catch (error) {
      if (!(error instanceof ExpressionFailed)) throw error;
      await this.failByExpression(tx, live, step, definition, error.message);
    }
  }

  private async failByExpression(
    tx: Transaction,
    live: LiveRun,
    step: RunStep,
    definition: Step,
    message: string,
  ): Promise<void> {
    const error = { message, code: 'expression_failed' };
    if (onFailureOf(definition) === OnFailure.Fail) return this.failStep(tx, live, step, error);
    const isIgnored = onFailureOf(definition) === OnFailure.Ignore;
    step.error = error;
    step.moveTo(isIgnored ? StepStatus.Completed : StepStatus.Failed, live.now);
    this.tell(tx, live, step);
  }

  /** All tasks of the step have ended. */
  private async settleStep(tx: Transaction, live: LiveRun, step: RunStep, definition: Step): Promise<void> {
    const isList = definition.for_each !== undefined;
    const size = await this.store.keepOutput(live, step.key, isList);
    if (size > MAX_STEP_OUTPUT_BYTES) {
      const message = `The step's outputs are ${size} bytes together; ${MAX_STEP_OUTPUT_BYTES} is the most`;
      return this.failStep(tx, live, step, { message, code: 'output_too_large' });
    }
    step.moveTo(step.tasks_failed > 0 ? StepStatus.Failed : StepStatus.Completed, live.now);
    this.tell(tx, live, step);
  }

  private async failStep(tx: Transaction, live: LiveRun, step: RunStep, error: TaskFailure): Promise<void> {
    step.error = error;
    step.moveTo(StepStatus.Failed, live.now);
    this.tell(tx, live, step);
    await this.ending.fail(tx, live, { ...error, message: `Step ${step.key} failed: ${error.message}` });
  }

  private tell(tx: Transaction, { run, workflow }: LiveRun, step: RunStep): void {
    if (step.status === StepStatus.Completed) tx.record(new RunStepCompleted(run, workflow, step));
    else tx.record(new RunStepFailed(run, workflow, step, step.error));
  }
}
