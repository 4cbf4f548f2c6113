import { Injectable } from '@nestjs/common';
import { newId } from '../platform/database/new-id.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { withDescendants } from '../platform/graph/graph.js';
import { type Definition, graphOf } from './definition.js';
import { RunEngine } from './run-engine.js';
import { RunStatus, StepStatus } from './run-state.js';
import { RunStateStore } from './run-state-store.js';
import { RunStep } from './run-step.entity.js';
import { Workflow } from './workflow.entity.js';
import { RunTrigger, WorkflowRun } from './workflow-run.entity.js';
import { WorkflowStatus } from './workflow-state.js';
import { Overlap } from './schedule.js';
import { WorkflowInactive, WorkflowIsRunning } from './workflows.errors.js';
import { WorkflowExecuted } from './workflows.events.js';
import { WorkflowsService } from './workflows.service.js';

export interface NewRun {
  input: Record<string, unknown>;
  definition: Definition | null;
  steps: RunStep[];
  trigger: RunTrigger;
  rerun_of: string | null;
  /** Not before; or, of a run by schedule, the tick. */
  scheduled_at: Date | null;
  /** It begins when another run is over. */
  is_queued?: boolean;
}

/** Whether several runs may be live at once. The tasks of a workflow without definition are in one run only. */
export const mayOverlap = ({ schedule, definition }: Workflow): boolean =>
  schedule?.overlap === Overlap.Allow && definition !== null;

/** Makes the runs of a workflow. */
@Injectable()
export class RunCreation {
  constructor(
    private readonly workflows: WorkflowsService,
    private readonly store: RunStateStore,
    private readonly engine: RunEngine,
  ) {}

  /** The workflow, locked, if it may be executed now. */
  async open(tx: Transaction, workflow_id: string): Promise<Workflow> {
    const { workflow, run: live } = await this.workflows.lockWithRun(tx, workflow_id);
    if (workflow.status === WorkflowStatus.Inactive) throw new WorkflowInactive(workflow_id);
    if (live && !mayOverlap(workflow)) throw new WorkflowIsRunning(workflow.id, live.id, 'wait for it or cancel it');
    return workflow;
  }

  /** Begins at once, unless it is scheduled for later. */
  async create(
    tx: Transaction,
    workflow: Workflow,
    { steps, scheduled_at, is_queued = false, ...fields }: NewRun,
  ): Promise<string> {
    const { now, allowed_agent_ids } = await this.store.conditions(workflow.id);
    const run = Object.assign(new WorkflowRun(), fields, {
      id: newId(),
      workflow_id: workflow.id,
      run_number: workflow.run_count + 1,
      status: RunStatus.Scheduled,
      scheduled_at:
        scheduled_at && (scheduled_at > now || fields.trigger === RunTrigger.Schedule) ? scheduled_at : null,
      created_at: now,
      updated_at: now,
      total_tasks: steps.reduce((sum, { tasks_total }) => sum + tasks_total, 0),
      completed_tasks: steps.reduce((sum, { tasks_completed }) => sum + tasks_completed, 0),
    });
    for (const step of steps) step.run_id = run.id;
    await this.store.insert({ run, steps });
    const { total_tasks, completed_tasks, failed_tasks } = run;
    this.store.measure({ run, steps });
    const { progress_percentage } = run;
    Object.assign(workflow, { latest_run_id: run.id, run_count: run.run_number, scheduled_at: run.scheduled_at });
    // It begins there: nothing that listeners have to hear of.
    Object.assign(workflow, { progress_percentage, total_tasks, completed_tasks, failed_tasks });
    tx.record(new WorkflowExecuted(workflow, run.id, run.run_number, run.trigger));
    const live = { run, workflow, steps, allowed_agent_ids, now, saved: new Map(), outputs: new Map() };
    const isLater = is_queued || (run.scheduled_at !== null && run.scheduled_at > now);
    if (!isLater) await this.engine.begin(tx, live);
    else await this.store.save(tx, live);
    return run.id;
  }
}

export const freshSteps = (definition: Definition | null): RunStep[] =>
  (definition?.steps ?? []).map(({ key }, position) => Object.assign(new RunStep(), { key, position }));

/** Fresh steps, except those that succeeded before and do not come after one that is repeated. */
export function stepsFromFailure(definition: Definition, before: readonly RunStep[]): RunStep[] {
  const old = new Map(before.map((step) => [step.key, step]));
  const steps = freshSteps(definition);
  const unfinished = steps.filter(({ key }) => !hasSucceeded(old.get(key)!)).map(({ key }) => key);
  const repeated = withDescendants(graphOf(definition), unfinished);
  for (const step of steps.filter(({ key }) => !repeated.has(key))) {
    const { status, tasks_total, tasks_completed, started_at, completed_at, output } = old.get(step.key)!;
    Object.assign(step, { status, tasks_total, tasks_completed, started_at, completed_at, output });
  }
  return steps;
}

/** Also a step that nobody wanted; but not one that was skipped because the run failed. */
const hasSucceeded = ({ status, error }: RunStep): boolean =>
  status === StepStatus.Completed || (status === StepStatus.Skipped && error === null);
