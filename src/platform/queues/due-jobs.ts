import { InjectQueue } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Database } from '../database/database.js';
import { SeldomWarning } from '../logging/seldom.js';
import { QueueName } from './queue-name.js';

/** The queue knows the ids of so many jobs that are over, and takes none of these again. */
const KEPT = { count: 50 };

/**
 * Puts jobs into the queue when there is something for them to do. Every worker looks, with one statement for all that
 * has the same rhythm; the queue takes the job of one of them. So an idle system asks one cheap question now and then,
 * and keeps no books of jobs that find nothing.
 */
@Injectable()
export class DueJobs implements BeforeApplicationShutdown {
  private readonly warning = new SeldomWarning(new Logger(DueJobs.name));
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly looks = new Set<Promise<void>>();

  constructor(
    @InjectQueue(QueueName.Maintenance) private readonly queue: Queue,
    private readonly database: Database,
  ) {}

  /** `conditions`: by the name of the job, in SQL. A look that takes longer than the rhythm leaves out others. */
  watch(conditions: Map<string, string>, every_ms: number): void {
    const columns = [...conditions].map(([name, condition]) => `(${condition}) AS "${name}"`);
    const question = `SELECT ${columns.join(', ')}`;
    let current: Promise<void> | null = null;
    const tick = (): void => {
      if (current) return;
      const look = this.look(question, every_ms).finally(() => {
        current = null;
        this.looks.delete(look);
      });
      current = look;
      this.looks.add(look);
    };
    this.timers.push(setInterval(tick, every_ms).unref());
  }

  async beforeApplicationShutdown(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await Promise.all(this.looks);
  }

  private async look(question: string, every_ms: number): Promise<void> {
    try {
      const [answer = {}] = await this.database.query<Record<string, boolean>>(question);
      const due = Object.keys(answer).filter((name) => answer[name]);
      // The same id on all workers, so that the job is done once; and another one in the next round, so that a worker
      // that dies with its job delays the next by no more than that.
      const round = Math.floor(Date.now() / every_ms);
      for (const name of due) {
        await this.queue.add(name, {}, { jobId: `${name}_${round}`, removeOnComplete: KEPT, removeOnFail: KEPT });
      }
    } catch (error) {
      this.warning.warn(`Whether there is work due could not be found out: ${(error as Error).message}`);
    }
  }
}
