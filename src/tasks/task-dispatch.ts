import { Injectable, Logger } from '@nestjs/common';
import { In, Not } from 'typeorm';
import { AgentPresence } from '../agents/agent-presence.js';
import { AgentStatus } from '../agents/agent-status.js';
import { AgentNotFound } from '../agents/agents.errors.js';
import { AgentsService } from '../agents/agents.service.js';
import { DEFAULT_LEASE_SECONDS } from '../agents/lease-seconds.js';
import { projectScope } from '../platform/access/scope.js';
import { actAsAgent } from '../platform/context/request-context.js';
import { Database, statement } from '../platform/database/database.js';
import { newId } from '../platform/database/new-id.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { CommitSignal } from '../platform/events/commit-signal.js';
import { eventOrigin } from '../platform/events/event-rows.js';
import type { FailTaskDto, LeaseHeartbeatDto } from './dto/lease.dto.js';
import { HeldLeases } from './held-leases.js';
import { TaskCompletions } from './task-completions.js';
import { Task } from './task.entity.js';
import { HAS_SLOT, LEASE, LEASE_SEVERAL, type LeasedTask, RENEW_LEASE, type TaskRow } from './task.sql.js';
import { TaskLifecycle } from './task-lifecycle.js';
import { ENDED, hasEnded, TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { LeaseLost } from './tasks.errors.js';
import { TaskAssigned, TaskProgressUpdated } from './tasks.events.js';

const SWEEP_BATCH = 1000;
const MAX_OFFERS_OF_KEY = 10;
/** How often a lease that lost a race for a slot is tried again at once. */
const TRIES_FOR_SLOT = 5;
const EXPIRED = statement(
  'expired_leases',
  'SELECT id FROM tasks WHERE lease_expires_at < now() ORDER BY lease_expires_at LIMIT $1',
);

const IS_READY = statement(
  'is_task_ready',
  `SELECT FROM tasks t WHERE t.id = $1 AND t.status = 'pending' AND t.ready_at <= now() AND ${HAS_SLOT}`,
);

/** Tasks with the concurrency key $1 that agents of the types $2, or the agents $3, may lease, as far as there are slots. */
const READY_OF_KEY = statement(
  'ready_tasks_of_key',
  `SELECT t.id, t.project_id, t.agent_type, CASE WHEN t.assignment_is_fixed THEN t.assigned_agent_id END AS agent_id,
          t.required_capabilities
   FROM tasks t
   WHERE t.concurrency_key = $1 AND t.status = 'pending' AND t.ready_at <= now() AND ${HAS_SLOT}
     AND CASE WHEN t.assignment_is_fixed THEN t.assigned_agent_id = ANY ($3::uuid[])
           ELSE t.agent_type IS NULL OR t.agent_type = ANY ($2::text[]) END
   ORDER BY t.priority DESC, t.ready_at
   LIMIT ${MAX_OFFERS_OF_KEY}`,
);

/** The agent as the lease statement saw it. */
export interface Worker {
  agent_id: string;
  my_type: string;
  my_status: AgentStatus;
  my_project_id: string | null;
  my_capabilities: string[];
  /** How many more tasks it could have had. */
  my_free_slots: number;
}

/** A task that may be leased, and by whom. */
export interface ReadyTask {
  id: string;
  project_id: string | null;
  agent_type: string | null;
  agent_id: string | null;
  required_capabilities: string[];
}

interface Contention {
  is_contended: boolean;
  is_passed_over: boolean;
}

/** What there was for an agent. */
export interface LeaseLook {
  worker: Worker;
  tasks: LeasedTask[];
  /** There was something, but at this moment others had their hands on it. */
  is_passed_over: boolean;
}

export interface LeaseRequest {
  agent_id: string;
  max_tasks: number;
  lease_seconds: number;
}

/** Hands tasks to agents and takes their results. Every call proves its lease by the token. */
@Injectable()
export class TaskDispatch {
  private readonly logger = new Logger(TaskDispatch.name);
  /** The project that was served last: the next one comes first, so that one flooding project starves nobody. */
  private lastServed = '00000000-0000-0000-0000-000000000000';
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly store: TaskStore,
    private readonly completions: TaskCompletions,
    private readonly leases: HeldLeases,
    private readonly lifecycle: TaskLifecycle,
    private readonly agents: AgentsService,
    private readonly presence: AgentPresence,
    private readonly commits: CommitSignal,
  ) {}

  /** What the agent gets right now, possibly nothing. Throws AgentNotFound. */
  async lease(request: LeaseRequest): Promise<LeaseLook> {
    for (let tries = 1; ; tries++) {
      const { is_contended, ...result } = await this.leaseOnce(request);
      if (result.tasks.length > 0 || result.is_passed_over || !is_contended || tries === TRIES_FOR_SLOT) return result;
    }
  }

  private async leaseOnce({ agent_id, max_tasks, lease_seconds }: LeaseRequest) {
    actAsAgent(agent_id);
    const ids = (count: number) => Array.from({ length: count }, newId);
    const metadata = JSON.stringify(eventOrigin().metadata);
    const leasing = max_tasks === 1 ? LEASE : LEASE_SEVERAL;
    const rows = await this.database.query<LeasedTask & Worker & Contention>(leasing, [
      agent_id,
      max_tasks,
      lease_seconds,
      this.lastServed,
      ids(max_tasks),
      ids(max_tasks + 1),
      metadata,
      projectScope(),
    ]);
    const [worker] = rows;
    if (!worker) throw new AgentNotFound(agent_id);
    const tasks = rows.filter(({ id }) => id !== null);
    this.completions.noteLeased(tasks);
    const last = tasks.at(-1);
    if (last) {
      this.lastServed = last.project_id ?? 'ffffffff-ffff-ffff-ffff-ffffffffffff';
      this.commits.signal();
    }
    const { is_contended, is_passed_over } = worker;
    return { worker, tasks, is_contended, is_passed_over };
  }

  /** It asked for work and there is none: it is there, and it is idle, or soon if it waits for some. */
  async noteIdle({ agent_id, my_status }: Worker, isWaiting: boolean): Promise<void> {
    this.presence.note(agent_id);
    if (my_status === AgentStatus.Offline) await this.presence.comeBack(agent_id);
    if (my_status !== AgentStatus.Busy) return;
    if (isWaiting) this.presence.noteWaiting(agent_id);
    else await this.agents.noteIdle(agent_id);
  }

  /** What a free slot of a concurrency key could be for, if these are there to do it. */
  readyOfKey(concurrency_key: string, workers: readonly Worker[]): Promise<ReadyTask[]> {
    const types = [...new Set(workers.map(({ my_type }) => my_type))];
    const ids = workers.map(({ agent_id }) => agent_id);
    return this.database.query<ReadyTask & Record<string, unknown>>(READY_OF_KEY, [concurrency_key, types, ids]);
  }

  async isReady(id: string): Promise<boolean> {
    return (await this.database.query(IS_READY, [id])).length > 0;
  }

  async heartbeat(id: string, dto: LeaseHeartbeatDto): Promise<Task> {
    const { lease_token, progress_percentage = null, lease_seconds = DEFAULT_LEASE_SECONDS } = dto;
    await this.store.assertOwnLease(id, lease_token);
    const renew = async (): Promise<Task> => {
      const values = [id, lease_token, lease_seconds, progress_percentage];
      const [task] = await this.database.query<Task & Record<string, unknown>>(RENEW_LEASE, values);
      if (!task) {
        await this.store.get(id);
        throw new LeaseLost(id);
      }
      return task;
    };
    const note = (tx: Transaction, task: Task): Task => {
      actAsAgent(task.assigned_agent_id!);
      tx.record(new TaskProgressUpdated(task, task.subtasks_completed, task.subtasks_total));
      return task;
    };
    // Without progress nothing changes that anybody is shown.
    const task =
      progress_percentage === null ? await renew() : await this.unitOfWork.run(async (tx) => note(tx, await renew()));
    this.presence.note(task.assigned_agent_id!);
    return task;
  }

  fail(id: string, { lease_token, error, retryable = error.retryable ?? true }: FailTaskDto): Promise<TaskRow> {
    return this.leases.end(id, lease_token, 'failed', (tx, task) =>
      this.lifecycle.failAttempt(tx, task, { error: { ...error, retryable }, retryable }),
    );
  }

  release(id: string, lease_token: string): Promise<TaskRow> {
    return this.leases.end(id, lease_token, 'released', (tx, task) => this.lifecycle.release(tx, task));
  }

  /** Takes back what silent agents held. Safe on all workers at once: each task is locked and looked at again. */
  async sweep(): Promise<number> {
    const expired = await this.database.query<{ id: string }>(EXPIRED, [SWEEP_BATCH]);
    for (const { id } of expired) {
      // One that cannot be taken back must not keep the others from it.
      await this.unitOfWork
        .run((tx) => this.takeBackExpired(tx, id))
        .catch((error: unknown) => {
          this.logger.error(`The expired lease of task ${id} could not be ended`, error);
        });
    }
    return expired.length;
  }

  /** The agent is gone: its work is for others, and the attempt does not count against the task. */
  async takeBackFrom(tx: Transaction, agent_id: string): Promise<void> {
    const found = await tx.manager.find(Task, {
      where: { assigned_agent_id: agent_id, status: Not(In(ENDED)) },
      select: { id: true },
    });
    const locked = await this.store.lockAll(
      tx,
      found.map(({ id }) => id),
    );
    const open = locked.filter((task) => task.assigned_agent_id === agent_id && !hasEnded(task.status));
    // What has ended keeps the id, but is for anyone when it begins anew.
    await tx.manager.update(Task, { assigned_agent_id: agent_id }, { assignment_is_fixed: false });
    for (const task of open) {
      task.assignment_is_fixed = false;
      if (task.status === TaskStatus.InProgress) {
        await this.lifecycle.release(tx, task);
        continue;
      }
      await this.store.save(tx, task, { assigned_agent_id: null });
      tx.record(new TaskAssigned(task, agent_id));
    }
  }

  private async takeBackExpired(tx: Transaction, id: string): Promise<void> {
    const task = await this.store.lock(tx, id);
    const now = await this.store.now();
    if (task.lease_expires_at === null || task.lease_expires_at >= now) return;
    const isTimeout = task.deadline_at !== null && task.deadline_at <= now;
    const error = isTimeout
      ? { message: `The attempt took longer than ${task.timeout_seconds} s`, code: 'timeout', retryable: true }
      : { message: 'The agent fell silent: its lease ran out', code: 'lease_expired', retryable: true };
    await this.lifecycle.failAttempt(tx, task, {
      error,
      retryable: true,
      expired: isTimeout ? 'timeout' : 'lease_expired',
    });
  }
}
