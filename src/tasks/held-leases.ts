import { Injectable } from '@nestjs/common';
import { AgentPresence } from '../agents/agent-presence.js';
import { actAsAgent } from '../platform/context/request-context.js';
import { Database } from '../platform/database/database.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import type { Task } from './task.entity.js';
import { REMEMBER_LEASE, type TaskRow } from './task.sql.js';
import { TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { LeaseLost } from './tasks.errors.js';

/** What the holder's call left behind, so that the same call again is known from another one with the same token. */
const ENDED_AS = {
  completed: ({ status }: Task) => status === TaskStatus.Completed,
  failed: ({ status, error }: Task) =>
    status === TaskStatus.Failed ||
    status === TaskStatus.Cancelled ||
    (status === TaskStatus.Pending && error !== null),
  released: ({ status, error }: Task) =>
    status === TaskStatus.Cancelled || (status === TaskStatus.Pending && error === null),
};

/** Lets only the holder of a lease end it, and only once. */
@Injectable()
export class HeldLeases {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly store: TaskStore,
    private readonly presence: AgentPresence,
  ) {}

  /**
   * Ends the lease by the work if the token is the task's; repeats the answer if this token ended it so before. Throws
   * TaskNotFound, LeaseLost.
   */
  async end(
    id: string,
    token: string,
    as: keyof typeof ENDED_AS,
    work: (tx: Transaction, task: Task) => Promise<void>,
  ): Promise<TaskRow> {
    await this.store.assertOwnLease(id, token);
    return this.unitOfWork.run(async (tx) => {
      const task = await this.store.lock(tx, id);
      const isRepeated = task.ended_lease_token === token && task.lease_token === null && ENDED_AS[as](task);
      if (isRepeated) return this.store.get(id);
      const isInTime = task.deadline_at === null || task.deadline_at > (await this.store.now());
      if (task.lease_token !== token || task.status !== TaskStatus.InProgress || !isInTime) throw new LeaseLost(id);
      const agent_id = task.assigned_agent_id!;
      actAsAgent(agent_id);
      await work(tx, task);
      tx.afterCommit(() => this.presence.note(agent_id));
      const [row] = await this.database.query<TaskRow & Record<string, unknown>>(REMEMBER_LEASE, [id, token]);
      return row!;
    });
  }
}
