import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { Environment } from '../config/environment.js';
import { runInContext } from '../context/request-context.js';
import { methodsOf } from '../events/handlers.js';
import { DueJobs } from './due-jobs.js';
import { QueueName } from './queue-name.js';
import { QueueOutage } from './queue-outage.js';
import { type Recurrence, Recurring } from './recurring.decorator.js';

interface RecurringJob extends Recurrence {
  run: () => Promise<unknown>;
}

/**
 * Knows every `@Recurring` method, and keeps BullMQ's schedule of them as the code has it. What recurs in the same
 * rhythm is one job: an idle system would otherwise spend its time on keeping the books of many.
 */
@Injectable()
export class RecurringJobs implements OnApplicationBootstrap {
  private readonly logger = new Logger(RecurringJobs.name);
  /** By the name of the BullMQ job: `every_2000_ms`, or its own if it is done when it is due. */
  private readonly jobs = new Map<string, RecurringJob[]>();

  constructor(
    @InjectQueue(QueueName.Maintenance) private readonly queue: Queue,
    private readonly dueJobs: DueJobs,
    private readonly discovery: DiscoveryService,
    private readonly environment: Environment,
    private readonly outage: QueueOutage,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.queue.on('error', (error) => this.outage.tell(error));
    this.find();
    if (!this.environment.does_background_work) return;
    const conditions = new Map<number, Map<string, string>>();
    for (const [name, [job]] of this.jobs) {
      const every = job!.every_ms(this.environment);
      if (job!.is_due) {
        conditions.set(every, (conditions.get(every) ?? new Map()).set(name, job!.is_due(this.environment)));
        continue;
      }
      await this.queue.upsertJobScheduler(
        name,
        { every },
        { name, opts: { removeOnComplete: true, removeOnFail: 20 } },
      );
    }
    for (const { key } of await this.queue.getJobSchedulers()) {
      if (!this.jobs.has(key)) await this.queue.removeJobScheduler(key);
    }
    for (const [every, due] of conditions) this.dueJobs.watch(due, every);
  }

  /** One that fails does not keep the others from running; the job then fails with the first error. */
  async run(name: string, id: string | null): Promise<void> {
    const results: PromiseSettledResult<unknown>[] = [];
    for (const job of this.jobs.get(name) ?? []) {
      const context = { source: 'scheduler' as const, endpoint: `job ${job.name}`, request_id: id };
      const [result] = await Promise.allSettled([runInContext(context, () => job.run())]);
      results.push(result);
      if (result.status === 'rejected') this.logger.error(`The recurring job ${job.name} failed`, result.reason);
    }
    const failed = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
    if (failed) throw failed.reason;
  }

  private find(): void {
    const names = new Set<string>();
    for (const { instance } of this.discovery.getProviders()) {
      if (typeof instance !== 'object' || instance === null) continue;
      for (const method of methodsOf(instance)) {
        const recurrence = Reflect.getMetadata(Recurring.KEY, method) as Recurrence | undefined;
        if (!recurrence) continue;
        if (names.has(recurrence.name)) throw new Error(`Two methods do the recurring job ${recurrence.name}`);
        names.add(recurrence.name);
        const key = recurrence.is_due ? recurrence.name : `every_${recurrence.every_ms(this.environment)}_ms`;
        const job = { ...recurrence, run: async () => method.call(instance) };
        this.jobs.set(key, [...(this.jobs.get(key) ?? []), job]);
      }
    }
  }
}
