import { Injectable } from '@nestjs/common';
import { Recurring } from '../platform/queues/recurring.decorator.js';
import { TaskDispatch } from './task-dispatch.js';

/** The recurring work of tasks. */
@Injectable()
export class TasksProcessor {
  constructor(private readonly dispatch: TaskDispatch) {}

  @Recurring({
    name: 'lease_sweep',
    every_ms: ({ SWEEP_EVERY_SECONDS }) => SWEEP_EVERY_SECONDS * 1000,
    is_due: () => 'EXISTS (SELECT FROM tasks WHERE lease_expires_at < now())',
  })
  sweep(): Promise<number> {
    return this.dispatch.sweep();
  }
}
