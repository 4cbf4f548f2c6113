import { Injectable } from '@nestjs/common';
import { AgentPresence } from '../agents/agent-presence.js';
import { AgentsService } from '../agents/agents.service.js';
import { Database } from '../platform/database/database.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { backoffSeconds } from './retry-policy.js';
import { Task, type TaskFailure } from './task.entity.js';
import { END_OF_LEASE, type LeaseOutcome } from './task.sql.js';
import { TaskDependencies } from './task-dependencies.js';
import { TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import {
  TaskCancelled,
  TaskCompleted,
  TaskFailed,
  TaskLeaseExpired,
  TaskRetryScheduled,
  TaskStarted,
  TaskUpdated,
} from './tasks.events.js';

export interface Completion {
  output?: unknown;
  quality_score?: number;
  metrics?: Record<string, unknown>;
}

/** How an attempt ended that did not complete. */
export interface Failure {
  error: TaskFailure;
  retryable: boolean;
  /** The lease ran out, or the attempt its time; the agent did not say so itself. */
  expired?: 'lease_expired' | 'timeout';
}

const NO_LEASE = {
  lease_token: null,
  lease_expires_at: null,
  deadline_at: null,
  ended_lease_token: null,
  cancel_requested: false,
};

/** The task as it is now, but for its events still with the agent that had it. */
const heldBy = (task: Task, assigned_agent_id: string | null): Task =>
  Object.assign(new Task(), task, { assigned_agent_id });

/**
 * What each move of a task brings with it: its lease and its agent's books, its dependents, its events. Every method
 * gets a task that the transaction has locked, and changes it in place.
 */
@Injectable()
export class TaskLifecycle {
  constructor(
    private readonly database: Database,
    private readonly store: TaskStore,
    private readonly dependencies: TaskDependencies,
    private readonly agents: AgentsService,
    private readonly presence: AgentPresence,
  ) {}

  /** By hand, without a lease. */
  async start(tx: Transaction, task: Task): Promise<void> {
    const from = task.status;
    task.assertCanMove(TaskStatus.InProgress);
    const now = await this.store.now();
    await this.store.save(tx, task, {
      status: TaskStatus.InProgress,
      attempt: task.attempt + 1,
      started_at: now,
      ready_at: null,
    });
    tx.record(new TaskStarted(task, from, task.attempt));
  }

  async complete(tx: Transaction, task: Task, { output, quality_score, metrics }: Completion): Promise<void> {
    const from = task.status;
    task.assertCanMove(TaskStatus.Completed);
    const now = await this.store.now();
    await this.endLease(tx, task, 'completed', now, quality_score);
    await this.store.save(tx, task, {
      ...this.ended(TaskStatus.Completed, now),
      progress_percentage: 100,
      error: null,
      started_at: task.started_at ?? now,
      actual_duration_minutes: (now.getTime() - (task.started_at ?? now).getTime()) / 60_000,
      ...(output !== undefined && { output }),
      ...(quality_score !== undefined && { quality_score }),
    });
    tx.record(new TaskCompleted(task, from, task.attempt, metrics));
    await this.dependencies.satisfy(tx, task);
  }

  /** One attempt is over: pending again after the back-off, or failed when no other is left. */
  async failAttempt(tx: Transaction, task: Task, { error, retryable, expired }: Failure): Promise<void> {
    if (expired) tx.record(new TaskLeaseExpired(task, task.attempt, expired));
    // A task that is to be cancelled does not come back, whatever became of the attempt.
    if (task.cancel_requested) return this.cancel(tx, task);
    const isFinal = !retryable || task.attempt >= task.max_attempts;
    if (isFinal) return this.fail(tx, task, error);

    const { status: from, assigned_agent_id } = task;
    const now = await this.store.now();
    // From the moment the lease ran out, not from when it was noticed.
    const since = expired && task.lease_expires_at ? task.lease_expires_at : now;
    const ready_at = new Date(since.getTime() + backoffSeconds(task.retry, task.attempt) * 1000);
    await this.endLease(tx, task, 'retried', now);
    await this.store.save(tx, task, {
      ...this.givenBack(task),
      error,
      ready_at: task.is_held ? null : ready_at,
    });
    const lastHeld = heldBy(task, assigned_agent_id);
    tx.record(new TaskFailed(lastHeld, task.status, task.attempt, error, false));
    tx.record(new TaskRetryScheduled(lastHeld, from, task.attempt, task.max_attempts));
  }

  async fail(tx: Transaction, task: Task, error: TaskFailure): Promise<void> {
    const from = task.status;
    task.assertCanMove(TaskStatus.Failed);
    const now = await this.store.now();
    await this.endLease(tx, task, 'failed', now);
    await this.store.save(tx, task, { ...this.ended(TaskStatus.Failed, now), error });
    tx.record(new TaskFailed(task, from, task.attempt, error, true));
    await this.dependencies.skipDependents(tx, task);
  }

  async cancel(tx: Transaction, task: Task): Promise<void> {
    const from = task.status;
    task.assertCanMove(TaskStatus.Cancelled);
    const now = await this.store.now();
    await this.endLease(tx, task, 'returned', now);
    await this.store.save(tx, task, this.ended(TaskStatus.Cancelled, now));
    tx.record(new TaskCancelled(task, from));
    await this.dependencies.skipDependents(tx, task);
  }

  /** While leased the agent is asked to stop; otherwise it stops here and now. */
  async requestCancel(tx: Transaction, task: Task): Promise<void> {
    if (task.lease_token === null) return this.cancel(tx, task);
    if (task.cancel_requested) return;
    await this.store.save(tx, task, { cancel_requested: true });
    await this.agents.requestCancel(tx, task.assigned_agent_id!, task.id);
    tx.record(new TaskUpdated(task, { cancel_requested: true }));
  }

  /** Their run has failed: they are not begun any more, and what waits for them neither. */
  async skipAll(tx: Transaction, tasks: readonly Task[], message: string): Promise<void> {
    for (const task of tasks) task.assertCanMove(TaskStatus.Skipped);
    await this.dependencies.skipAll(tx, tasks, { message, code: 'run_failed' });
    for (const task of tasks) await this.dependencies.skipDependents(tx, task);
  }

  /** Asks the agents that have some of them to stop; the others stop here and now, however many they are. */
  async requestCancelOfAll(tx: Transaction, tasks: readonly Task[]): Promise<void> {
    const idle = tasks.filter(({ lease_token }) => lease_token === null);
    for (const task of tasks) if (task.lease_token !== null) await this.requestCancel(tx, task);
    for (const task of idle) task.assertCanMove(TaskStatus.Cancelled);
    const before = idle.map(({ status }) => status);
    await this.store.saveAll(tx, idle, this.ended(TaskStatus.Cancelled, await this.store.now()));
    idle.forEach((task, index) => tx.record(new TaskCancelled(task, before[index]!)));
    for (const task of idle) await this.dependencies.skipDependents(tx, task);
  }

  /** The agent gives it back undone: the attempt does not count. */
  async release(tx: Transaction, task: Task): Promise<void> {
    const { status: from, assigned_agent_id } = task;
    const now = await this.store.now();
    if (task.cancel_requested) return this.cancel(tx, task);
    await this.endLease(tx, task, 'returned', now);
    await this.store.save(tx, task, { ...this.givenBack(task), attempt: Math.max(0, task.attempt - 1) });
    await this.store.makeReady([task]);
    tx.record(new TaskUpdated(heldBy(task, assigned_agent_id), { status: task.status }, from));
  }

  /** Begins anew with a first attempt: what was failed, cancelled or skipped, or what people take back. */
  async reset(tx: Transaction, task: Task): Promise<void> {
    const { status: from, assigned_agent_id } = task;
    task.assertCanMove(TaskStatus.Pending);
    const now = await this.store.now();
    await this.endLease(tx, task, 'returned', now);
    const unmet_dependencies = await this.dependencies.countUnmet(task.id);
    await this.store.save(tx, task, {
      ...this.givenBack(task),
      status: unmet_dependencies > 0 ? TaskStatus.Blocked : TaskStatus.Pending,
      unmet_dependencies,
      attempt: 0,
      error: null,
      progress_percentage: 0,
      started_at: null,
      completed_at: null,
    });
    await this.store.makeReady([task]);
    tx.record(new TaskUpdated(heldBy(task, assigned_agent_id), { status: task.status }, from));
    await this.dependencies.reviveDependents(tx, task);
  }

  private ended(status: TaskStatus, now: Date): Partial<Task> {
    return { ...NO_LEASE, status, completed_at: now, ready_at: null };
  }

  private givenBack(task: Task): Partial<Task> {
    return {
      ...NO_LEASE,
      status: TaskStatus.Pending,
      ready_at: null,
      assigned_agent_id: task.assignment_is_fixed ? task.assigned_agent_id : null,
    };
  }

  private async endLease(
    tx: Transaction,
    task: Task,
    outcome: LeaseOutcome,
    now: Date,
    quality_score: number | null = null,
  ): Promise<void> {
    const { id, lease_token, assigned_agent_id, started_at } = task;
    if (lease_token === null) return;
    const seconds = (now.getTime() - (started_at ?? now).getTime()) / 1000;
    await this.database.query(END_OF_LEASE, [assigned_agent_id, id, outcome, quality_score, seconds]);
    tx.afterCommit(() => this.presence.noteFinished(assigned_agent_id!));
  }
}
