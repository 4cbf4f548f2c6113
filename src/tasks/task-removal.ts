import { Injectable } from '@nestjs/common';
import { Any } from 'typeorm';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { Task } from './task.entity.js';
import { TaskDependencies } from './task-dependencies.js';
import { TaskStatus } from './task-state.js';
import { ProjectHasRunningTasks } from './tasks.errors.js';

/** Removes tasks together with what they belong to. Their events stay. */
@Injectable()
export class TaskRemoval {
  constructor(private readonly dependencies: TaskDependencies) {}

  /** Refuses while any of them is in progress. */
  async ofProject(tx: Transaction, project_id: string): Promise<void> {
    const tasks = await this.lock(tx, { project_id });
    const running = tasks.filter(({ status }) => status === TaskStatus.InProgress).length;
    if (running > 0) throw new ProjectHasRunningTasks(project_id, running);
    await this.remove(tx, tasks);
  }

  async ofWorkflow(tx: Transaction, workflow_id: string): Promise<void> {
    await this.remove(tx, await this.lock(tx, { workflow_id }));
  }

  /** So that nobody begins one of them any more, nor makes another task wait for it unseen. */
  private lock(tx: Transaction, where: { project_id: string } | { workflow_id: string }): Promise<Task[]> {
    return tx.manager.find(Task, {
      where,
      select: { id: true, status: true },
      order: { id: 'ASC' },
      lock: { mode: 'pessimistic_write' },
    });
  }

  private async remove(tx: Transaction, tasks: readonly Task[]): Promise<void> {
    const ids = tasks.map(({ id }) => id);
    const waiting = await this.dependencies.waitingFor(tx, ids);
    await tx.manager.delete(Task, { id: Any(ids) });
    await this.dependencies.lookAgain(tx, waiting);
  }
}
