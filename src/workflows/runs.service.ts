import { Injectable, Logger } from '@nestjs/common';
import { In } from 'typeorm';
import { owns, projectScope, sees } from '../platform/access/scope.js';
import { Batch } from '../platform/database/batch.js';
import { Database } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { inStep } from '../platform/database/gather.js';
import { listRows } from '../platform/database/list-rows.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { continueIn, currentContext, type RequestContext, runInContext } from '../platform/context/request-context.js';
import { shareTransaction } from '../platform/database/share-transaction.js';
import { DomainError, refusalOf } from '../platform/errors/domain-error.js';
import type { Page } from '../platform/http/page.js';
import type { ExecuteWorkflowDto } from './dto/change-workflow.dto.js';
import type { ListRunsQuery } from './dto/list-workflows.query.js';
import type { GraphResponse } from './dto/workflow.response.js';
import { DUE_RUNS } from './run.sql.js';
import { freshSteps, mayOverlap, RunCreation, stepsFromFailure } from './run-creation.js';
import { RunEnding } from './run-ending.js';
import { RunEngine } from './run-engine.js';
import { hasBegun, RunStatus, StepStatus } from './run-state.js';
import { type LiveRun, RunStateStore, type RunWithSteps } from './run-state-store.js';
import { RunStep } from './run-step.entity.js';
import { RunTasks } from './run-tasks.js';
import { WorkflowAgents } from './workflow-agents.js';
import { RunTrigger, WorkflowRun } from './workflow-run.entity.js';
import type { WorkflowRow } from './workflow.entity.js';
import { WorkflowStatus } from './workflow-state.js';
import { RunMoveRefused, RunNotFound, WorkflowIsRunning, WorkflowMoveRefused } from './workflows.errors.js';
import { RunPaused, RunResumed } from './workflows.events.js';
import { WorkflowsService } from './workflows.service.js';

interface Execution {
  workflow_id: string;
  dto: ExecuteWorkflowDto;
  context: RequestContext;
}

/** The new run, and the workflow that now shows it. */
export interface Executed {
  run: RunWithSteps;
  workflow: WorkflowRow;
}

/** Executions of workflows: what people ask of them. How they move on: RunEngine. */
@Injectable()
export class RunsService {
  private readonly logger = new Logger(RunsService.name);
  /** Executions that come at the same time share a transaction. */
  private readonly executions = new Batch((executions: Execution[]) => this.executeAll(executions), {
    // One that also changes who does the work is another matter.
    keyOf: ({ workflow_id, dto }) => (dto.assigned_agents ? workflow_id : ''),
  });

  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly workflows: WorkflowsService,
    private readonly agents: WorkflowAgents,
    private readonly creation: RunCreation,
    private readonly store: RunStateStore,
    private readonly engine: RunEngine,
    private readonly ending: RunEnding,
    private readonly runTasks: RunTasks,
  ) {}

  async get(id: string): Promise<RunWithSteps> {
    const found = await this.store.find(id);
    if (!found || !sees(found)) throw new RunNotFound(id);
    return found;
  }

  /** Throws RunNotFound, also where it is not for the caller to change. */
  private async getOwn(id: string): Promise<RunWithSteps> {
    const found = await this.store.find(id);
    if (!found || !owns(found)) throw new RunNotFound(id);
    return found;
  }

  async list(workflow_id: string, query: ListRunsQuery): Promise<Page<RunWithSteps>> {
    const { project_id } = await this.workflows.get(workflow_id);
    const page = await listRows<WorkflowRun & Record<string, unknown>>(this.database, {
      from: 'workflow_runs r',
      alias: 'r',
      columns: 'r.*',
      filters: new Filters().add('r.workflow_id = ?', workflow_id).add('r.status = ?', query.status),
      sorts: { created_at: { expression: 'r.created_at', type: 'timestamptz' } },
      sort_by: 'created_at',
      query,
    });
    const steps = await this.database.manager.find(RunStep, {
      where: { run_id: In(page.items.map(({ id }) => id)) },
      order: { position: 'ASC' },
    });
    return {
      ...page,
      items: page.items.map((run) => ({ run, project_id, steps: steps.filter(({ run_id }) => run_id === run.id) })),
    };
  }

  async execute(workflow_id: string, dto: ExecuteWorkflowDto): Promise<Executed> {
    const outcome = await this.executions.add({ workflow_id, dto, context: currentContext() });
    if (outcome instanceof DomainError) throw outcome;
    return outcome;
  }

  private executeAll(executions: Execution[]): Promise<(Executed | DomainError)[]> {
    return this.unitOfWork.run(async (tx) => {
      if (executions.length > 1) shareTransaction(this.database);
      const turns = new Map<string, Promise<unknown>>();
      return inStep(executions, (execution) => {
        const { workflow_id, context } = execution;
        const begin = () => continueIn(context, () => this.executeOne(tx, execution));
        // Of the same workflow, the next one has to see the one before it.
        const turn = turns.get(workflow_id)?.then(begin, begin) ?? begin();
        turns.set(workflow_id, turn);
        return turn;
      });
    });
  }

  private async executeOne(tx: Transaction, { workflow_id, dto }: Execution): Promise<Executed | DomainError> {
    // Nothing was written yet: a refusal costs the others of the transaction nothing.
    const workflow = await this.creation.open(tx, workflow_id).catch(refusalOf);
    if (workflow instanceof DomainError) return workflow;
    if (dto.assigned_agents) await this.agents.replace(tx, workflow, dto.assigned_agents);
    const { definition } = workflow;
    const id = await this.creation.create(tx, workflow, {
      input: { ...workflow.parameters, ...dto.parameters, ...dto.input },
      definition,
      steps: freshSteps(definition),
      trigger: RunTrigger.Manual,
      rerun_of: null,
      scheduled_at: dto.scheduled_at ?? null,
    });
    const [run, shown] = await Promise.all([this.get(id), this.workflows.get(workflow_id)]);
    return { run, workflow: shown };
  }

  /** A new run with the same input and definition; `from_failure` keeps the results of the steps that succeeded. */
  rerun(run_id: string, from_failure: boolean): Promise<RunWithSteps> {
    return this.unitOfWork.run(async (tx) => {
      const { workflow_id } = (await this.getOwn(run_id)).run;
      const workflow = await this.creation.open(tx, workflow_id);
      // Read again: nobody changes it any more.
      const { run, steps } = await this.get(run_id);
      const { definition, input } = run;
      const id = await this.creation.create(tx, workflow, {
        input,
        definition,
        steps: from_failure && definition ? stepsFromFailure(definition, steps) : freshSteps(definition),
        trigger: RunTrigger.Rerun,
        rerun_of: run_id,
        scheduled_at: null,
      });
      return this.get(id);
    });
  }

  pause(run_id: string): Promise<RunWithSteps> {
    return this.change(run_id, async (tx, live) => {
      live.run.moveTo(RunStatus.Paused);
      await this.runTasks.holdAll(run_id);
      tx.record(new RunPaused(live.run, live.workflow));
    });
  }

  resume(run_id: string): Promise<RunWithSteps> {
    return this.change(run_id, async (tx, live) => {
      if (live.run.status !== RunStatus.Paused) throw new RunMoveRefused(run_id, live.run.status, RunStatus.Running);
      live.run.moveTo(RunStatus.Running);
      tx.record(new RunResumed(live.run, live.workflow));
      await this.runTasks.releaseAll(tx, live);
      await this.engine.advance(tx, live);
    });
  }

  cancel(run_id: string): Promise<RunWithSteps> {
    return this.change(run_id, (tx, live) => this.ending.cancel(tx, live));
  }

  /** What people set on the workflow: its live run, or whether it may be executed. */
  async setWorkflowStatus(workflow_id: string, status: WorkflowStatus): Promise<void> {
    await this.unitOfWork.run(async (tx) => {
      const { workflow, run: live } = await this.workflows.lockWithRun(tx, workflow_id);
      if (status === WorkflowStatus.Active || status === WorkflowStatus.Inactive) {
        if (live) throw new WorkflowIsRunning(workflow_id, live.id, 'pause or cancel it instead');
        return this.workflows.setStatus(tx, workflow, status);
      }
      const act = {
        [WorkflowStatus.Paused as string]: (id: string) => this.pause(id),
        [WorkflowStatus.Running as string]: (id: string) => this.resume(id),
        [WorkflowStatus.Cancelled as string]: (id: string) => this.cancel(id),
      }[status];
      if (!act) throw new WorkflowMoveRefused(workflow_id, `A workflow becomes ${status} by its runs, not by hand`);
      if (!live) throw new WorkflowMoveRefused(workflow_id, `The workflow has no live run that could become ${status}`);
      await act(live.id);
    });
  }

  async graph(workflow_id: string, run_id: string | undefined): Promise<GraphResponse> {
    const workflow = await this.workflows.get(workflow_id);
    const wanted = run_id ?? workflow.latest_run_id;
    const found = wanted === null ? null : await this.get(wanted);
    if (found && found.run.workflow_id !== workflow_id) throw new RunNotFound(wanted!);
    const definition = found?.run.definition ?? workflow.definition ?? { steps: [] };
    const steps = new Map(found?.steps.map((step) => [step.key, step]));
    return {
      nodes: definition.steps.map(({ key, name = key }) => {
        const {
          status = StepStatus.Pending,
          tasks_total = 0,
          tasks_completed = 0,
          tasks_failed = 0,
        } = steps.get(key) ?? {};
        return { key, name, status, tasks: { total: tasks_total, completed: tasks_completed, failed: tasks_failed } };
      }),
      edges: definition.steps.flatMap(({ key, depends_on = [] }) =>
        depends_on.map((from): [string, string] => [from, key]),
      ),
    };
  }

  /** Starts the runs whose time has come. Safe on all workers at once. */
  async startDue(): Promise<number> {
    const due = await this.database.query<{ id: string; workflow_id: string }>(
      `SELECT r.id, r.workflow_id FROM ${DUE_RUNS} ORDER BY r.scheduled_at LIMIT 100`,
    );
    for (const { id, workflow_id } of due) {
      const begin = () =>
        this.unitOfWork.run(async (tx) => {
          const workflow = await this.workflows.lock(tx, workflow_id);
          const runs = await this.workflows.liveRuns(workflow_id);
          if (runs.find((run) => run.id === id)?.status !== RunStatus.Scheduled) return;
          if (runs.some(hasBegun) && !mayOverlap(workflow)) return;
          await this.change(id, (_tx, live) => this.engine.begin(tx, live));
        });
      // One that cannot begin must not keep the others from it.
      await runInContext({ source: 'scheduler', endpoint: 'job due_runs' }, begin).catch((error: unknown) =>
        this.logger.error(`Run ${id} is due but could not begin`, error),
      );
    }
    return due.length;
  }

  private change(run_id: string, work: (tx: Transaction, live: LiveRun) => Promise<void>): Promise<RunWithSteps> {
    return this.unitOfWork.run(async (tx) => {
      // Looks first, as another's is not waited for; who sees all of them need not look.
      if (projectScope() !== null) await this.getOwn(run_id);
      const live = await this.store.lock(run_id);
      if (!live) throw new RunNotFound(run_id);
      const { status: before } = live.run;
      await work(tx, live);
      await this.store.save(tx, live);
      const { status: after } = live.run;
      if (before !== after) tx.changed('run', run_id, { status: { before, after } });
      return this.get(run_id);
    });
  }
}
