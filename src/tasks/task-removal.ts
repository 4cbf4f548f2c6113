import { Injectable } from '@nestjs/common';
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
    const running = await tx.manager.countBy(Task, { project_id, status: TaskStatus.InProgress });
    if (running > 0) throw new ProjectHasRunningTasks(project_id, running);
    await this.remove(tx, { project_id });
  }

  ofWorkflow(tx: Transaction, workflow_id: string): Promise<void> {
    return this.remove(tx, { workflow_id });
  }

  private async remove(tx: Transaction, where: { project_id: string } | { workflow_id: string }): Promise<void> {
    const tasks = await tx.manager.find(Task, { where, select: { id: true } });
    const waiting = await this.dependencies.waitingFor(
      tx,
      tasks.map(({ id }) => id),
    );
    await tx.manager.delete(Task, where);
    await this.dependencies.lookAgain(tx, waiting);
  }
}
