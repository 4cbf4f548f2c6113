import { Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { MetricsService } from './metrics.service.js';

const TASK_OUTCOMES: Record<string, string> = {
  task_completed: 'completed',
  task_cancelled: 'cancelled',
  task_skipped: 'skipped',
};
const RUN_OUTCOMES: Record<string, string> = {
  run_completed: 'completed',
  run_failed: 'failed',
  run_cancelled: 'cancelled',
};

/**
 * What happens to tasks and runs, counted from the log. Every node reads the whole log, so each counts what happened on
 * all of them since it started: never sum these over nodes.
 */
@Injectable()
export class EventMetrics {
  private readonly leases: Counter;
  private readonly expiries: Counter<'reason'>;
  private readonly retries: Counter;
  private readonly failures: Counter;
  private readonly tasksCreated: Counter;
  private readonly tasksEnded: Counter<'outcome'>;
  private readonly runsStarted: Counter;
  private readonly runsEnded: Counter<'outcome'>;

  constructor({ registry }: MetricsService) {
    const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
      new Counter<Label>({ name: `flightdeck_${name}_total`, help, labelNames, registers: [registry] });
    this.leases = counter('leases_granted', 'Tasks leased to agents');
    this.expiries = counter('leases_expired', 'Leases taken back from silent agents', 'reason');
    this.retries = counter('task_retries', 'Attempts after a failed one');
    this.failures = counter('task_attempts_failed', 'Attempts that failed, also those that another one follows');
    this.tasksCreated = counter('tasks_created', 'Tasks created');
    this.tasksEnded = counter('tasks_ended', 'Tasks that ended, by how', 'outcome');
    this.runsStarted = counter('runs_started', 'Runs that began');
    this.runsEnded = counter('runs_ended', 'Runs that ended, by how', 'outcome');
    // Known from the start, so that the first one is a rise.
    for (const reason of ['lease_expired', 'timeout']) this.expiries.inc({ reason }, 0);
    for (const outcome of [...Object.values(TASK_OUTCOMES), 'failed']) this.tasksEnded.inc({ outcome }, 0);
    for (const outcome of Object.values(RUN_OUTCOMES)) this.runsEnded.inc({ outcome }, 0);
  }

  @Live('task_*')
  countTask({ type, source, data }: LoggedEvent): void {
    if (type === 'task_created') this.tasksCreated.inc();
    // People may begin a task by hand, without a lease.
    if (type === 'task_started' && source === 'agent') this.leases.inc();
    if (type === 'task_lease_expired') this.expiries.inc({ reason: data.reason as string });
    if (type === 'task_retry_scheduled') this.retries.inc();
    if (type === 'task_failed') this.failures.inc();
    const outcome = type === 'task_failed' && data.final === true ? 'failed' : TASK_OUTCOMES[type];
    if (outcome) this.tasksEnded.inc({ outcome });
  }

  @Live('run_*')
  countRun({ type }: LoggedEvent): void {
    if (type === 'run_started') this.runsStarted.inc();
    const outcome = RUN_OUTCOMES[type];
    if (outcome) this.runsEnded.inc({ outcome });
  }
}
