import { Injectable } from '@nestjs/common';
import { Recurring } from '../platform/queues/recurring.decorator.js';
import { RunsService } from './runs.service.js';

/** The recurring work of workflows. */
@Injectable()
export class WorkflowsProcessor {
  constructor(private readonly runs: RunsService) {}

  @Recurring({
    name: 'due_runs',
    every_ms: ({ SWEEP_EVERY_SECONDS }) => SWEEP_EVERY_SECONDS * 1000,
    is_due: () => `EXISTS (SELECT FROM workflow_runs WHERE status = 'scheduled' AND scheduled_at <= now())`,
  })
  startDue(): Promise<number> {
    return this.runs.startDue();
  }
}
