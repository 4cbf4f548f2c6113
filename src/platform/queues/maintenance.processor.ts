import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job } from 'bullmq';
import { Environment } from '../config/environment.js';
import { QueueName } from './queue-name.js';
import { QueueOutage } from './queue-outage.js';
import { RecurringJobs } from './recurring-jobs.js';

/** Does the recurring jobs, on whichever worker is free. */
@Processor(QueueName.Maintenance, { autorun: false, concurrency: 4, drainDelay: 60, runRetryDelay: 1_000 })
export class MaintenanceProcessor extends WorkerHost implements OnApplicationBootstrap {
  private readonly logger = new Logger(MaintenanceProcessor.name);

  constructor(
    private readonly jobs: RecurringJobs,
    private readonly environment: Environment,
    private readonly outage: QueueOutage,
  ) {
    super();
  }

  onApplicationBootstrap(): void {
    if (this.environment.does_background_work) void this.worker.run();
  }

  process({ name, id }: Job): Promise<void> {
    return this.jobs.run(name, id ?? null);
  }

  @OnWorkerEvent('failed')
  onFailed(job: Job | undefined, error: Error): void {
    this.logger.error(`${job?.name ?? 'A job'} failed`, error);
  }

  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.outage.tell(error);
  }
}
