import { Injectable } from '@nestjs/common';
import { Recurring } from '../platform/queues/recurring.decorator.js';
import { DUE_RUNS, DUE_SCHEDULES } from './run.sql.js';
import { RunsService } from './runs.service.js';
import { WorkflowSchedules } from './workflow-schedules.js';

/** The recurring work of workflows. */
@Injectable()
export class WorkflowsProcessor {
  constructor(
    private readonly runs: RunsService,
    private readonly schedules: WorkflowSchedules,
  ) {}

  @Recurring({
    name: 'due_runs',
    every_ms: ({ SWEEP_EVERY_SECONDS }) => SWEEP_EVERY_SECONDS * 1000,
    is_due: () => `EXISTS (SELECT FROM ${DUE_RUNS})`,
  })
  startDue(): Promise<number> {
    return this.runs.startDue();
  }

  @Recurring({
    name: 'due_schedules',
    every_ms: ({ SWEEP_EVERY_SECONDS }) => SWEEP_EVERY_SECONDS * 1000,
    is_due: () => `EXISTS (SELECT FROM ${DUE_SCHEDULES})`,
  })
  tick(): Promise<number> {
    return this.schedules.tick();
  }
}
