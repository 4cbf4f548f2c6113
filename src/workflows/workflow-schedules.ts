import { Injectable, Logger } from '@nestjs/common';
import { Environment } from '../platform/config/environment.js';
import { runInContext } from '../platform/context/request-context.js';
import { Database } from '../platform/database/database.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { TaskStore } from '../tasks/task-store.js';
import { DUE_SCHEDULES } from './run.sql.js';
import { freshSteps, mayOverlap, RunCreation } from './run-creation.js';
import { hasBegun, RunStatus } from './run-state.js';
import { RunsService } from './runs.service.js';
import { newestTick, nextTick, Overlap } from './schedule.js';
import { Workflow } from './workflow.entity.js';
import { RunTrigger } from './workflow-run.entity.js';
import { WorkflowStatus } from './workflow-state.js';
import { WorkflowUpdated } from './workflows.events.js';
import { WorkflowsService } from './workflows.service.js';

const BATCH = 100;

/** Starts runs at the ticks of the workflows' schedules. */
@Injectable()
export class WorkflowSchedules {
  private readonly logger = new Logger(WorkflowSchedules.name);

  constructor(
    private readonly environment: Environment,
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly workflows: WorkflowsService,
    private readonly creation: RunCreation,
    private readonly runs: RunsService,
    private readonly taskStore: TaskStore,
  ) {}

  /** Safe on all workers at once: the tick that a workflow waits for is moved on in the transaction that starts its run. */
  async tick(): Promise<number> {
    const due = await this.database.query<{ id: string }>(
      `SELECT w.id FROM ${DUE_SCHEDULES} ORDER BY w.next_tick_at LIMIT ${BATCH}`,
    );
    for (const { id } of due) {
      const start = () => this.unitOfWork.run((tx) => this.startRun(tx, id));
      // One that cannot run must not keep the others from it.
      await runInContext({ source: 'scheduler', endpoint: 'job due_schedules' }, start).catch((error: unknown) =>
        this.logger.error(`Workflow ${id} is due but could not run`, error),
      );
    }
    return due.length;
  }

  /** Of several ticks that were missed, the newest one counts. */
  private async startRun(tx: Transaction, id: string): Promise<void> {
    const workflow = await this.workflows.lock(tx, id);
    const now = await this.taskStore.now();
    const { schedule, next_tick_at } = workflow;
    if (!schedule || !next_tick_at || next_tick_at > now) return;
    const moved = { next_tick_at: nextTick(schedule, now) };
    await tx.manager.update(Workflow, { id }, moved);
    const leaveOut = (): void => tx.record(new WorkflowUpdated(Object.assign(workflow, moved), moved));
    if (workflow.status === WorkflowStatus.Inactive) return leaveOut();

    const earliest = new Date(now.getTime() - this.environment.SCHEDULE_CATCH_UP_SECONDS * 1000);
    const tick =
      next_tick_at < earliest
        ? newestTick(schedule, earliest, now)
        : (newestTick(schedule, next_tick_at, now) ?? next_tick_at);
    if (!tick) {
      this.logger.warn(`Workflow ${id} missed its tick of ${next_tick_at.toISOString()}: no server was there`);
      return leaveOut();
    }
    const answer = await this.settleOverlap(workflow, now);
    if (answer === 'leave out') {
      this.logger.log(`Workflow ${id} leaves out its tick of ${tick.toISOString()}: an earlier run is not over`);
      return leaveOut();
    }
    await this.creation.create(tx, workflow, {
      input: workflow.parameters,
      definition: workflow.definition,
      steps: freshSteps(workflow.definition),
      trigger: RunTrigger.Schedule,
      rerun_of: null,
      scheduled_at: tick,
      is_queued: answer === 'queue',
    });
  }

  private async settleOverlap(workflow: Workflow, now: Date): Promise<'begin' | 'queue' | 'leave out'> {
    const live = await this.workflows.liveRuns(workflow.id);
    const begun = live.filter(hasBegun);
    // A run that somebody planned for later is not in the way.
    const queued = live.filter(({ status, scheduled_at }) => status === RunStatus.Scheduled && scheduled_at! <= now);
    if (begun.length + queued.length === 0 || mayOverlap(workflow)) return 'begin';
    switch (workflow.schedule!.overlap) {
      case Overlap.Queue:
        return queued.length === 0 ? 'queue' : 'leave out';
      case Overlap.Cancel:
        for (const { id } of [...begun, ...queued]) await this.runs.cancel(id);
        return 'begin';
      default:
        return 'leave out';
    }
  }
}
