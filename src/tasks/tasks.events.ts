import type { DomainEvent } from '../platform/events/domain-event.js';
import type { TaskFailure } from './task.entity.js';
import { TaskStatus } from './task-state.js';

/** The columns of a task that its events show. */
export interface TaskSubject {
  id: string;
  project_id: string | null;
  workflow_id: string | null;
  run_id: string | null;
  step_key: string | null;
  assigned_agent_id: string | null;
  title: string;
  status: TaskStatus;
  progress_percentage: number;
  concurrency_key: string | null;
}

/** What dispatch must know to wake the agents that a task could be for. */
export interface Readiness extends TaskSubject {
  agent_type: string | null;
  assignment_is_fixed: boolean;
  is_held: boolean;
  scheduled_at: Date | null;
  required_capabilities: string[];
  ready_at: Date | null;
}

export interface Wanted {
  agent_type: string | null;
  agent_id: string | null;
  required_capabilities: string[];
  /** null: at once */
  ready_at: Date | null;
}

/** null: not to be leased now, and not by itself later. */
const wantedOf = (task: Readiness): Wanted | null =>
  task.status !== TaskStatus.Pending || task.is_held
    ? null
    : {
        agent_type: task.agent_type,
        agent_id: task.assignment_is_fixed ? task.assigned_agent_id : null,
        required_capabilities: task.required_capabilities,
        ready_at: task.ready_at ?? task.scheduled_at,
      };

abstract class TaskEvent implements DomainEvent {
  abstract readonly type: string;
  readonly task_id: string;
  readonly project_id: string | null;
  readonly workflow_id: string | null;
  readonly run_id: string | null;
  readonly agent_id: string | null;
  readonly step_key: string | null;
  readonly title: string;

  constructor(task: TaskSubject) {
    this.task_id = task.id;
    this.project_id = task.project_id;
    this.workflow_id = task.workflow_id;
    this.run_id = task.run_id;
    this.agent_id = task.assigned_agent_id;
    this.step_key = task.step_key;
    this.title = task.title;
  }
}

/** An event with which the status changed: sockets get `task_status_updated` too. */
abstract class TaskStatusEvent extends TaskEvent {
  readonly old_status: TaskStatus | null;
  readonly new_status: TaskStatus;
  readonly progress: number;
  /** With it the task takes a slot while it is in progress. */
  readonly concurrency_key: string | null;

  constructor(task: TaskSubject, old_status: TaskStatus | null) {
    super(task);
    this.concurrency_key = task.concurrency_key;
    this.old_status = old_status;
    this.new_status = task.status;
    this.progress = task.progress_percentage;
  }
}

export class TaskCreated extends TaskStatusEvent {
  static readonly type = 'task_created';
  readonly type = TaskCreated.type;
  readonly wanted: Wanted | null;

  constructor(task: Readiness) {
    super(task, null);
    this.wanted = wantedOf(task);
  }
}

export class TaskUpdated extends TaskStatusEvent {
  static readonly type = 'task_updated';
  readonly type = TaskUpdated.type;
  readonly wanted: Wanted | null;

  constructor(
    task: Readiness,
    readonly changes: Readonly<Record<string, unknown>>,
    old_status: TaskStatus = task.status,
  ) {
    super(task, old_status);
    this.wanted = wantedOf(task);
  }
}

export class TaskAssigned extends TaskEvent {
  static readonly type = 'task_assigned';
  readonly type = TaskAssigned.type;

  constructor(
    task: TaskSubject,
    readonly previous_agent_id: string | null,
  ) {
    super(task);
  }
}

export class TaskStarted extends TaskStatusEvent {
  static readonly type = 'task_started';
  readonly type = TaskStarted.type;

  constructor(
    task: TaskSubject,
    old_status: TaskStatus,
    readonly attempt: number,
  ) {
    super(task, old_status);
  }
}

export class TaskProgressUpdated extends TaskEvent {
  static readonly type = 'task_progress_updated';
  readonly type = TaskProgressUpdated.type;
  readonly progress: number;

  constructor(
    task: TaskSubject,
    readonly subtasks_completed: number,
    readonly subtasks_total: number,
  ) {
    super(task);
    this.progress = task.progress_percentage;
  }
}

export class TaskCompleted extends TaskStatusEvent {
  static readonly type = 'task_completed';
  readonly type = TaskCompleted.type;

  constructor(
    task: TaskSubject,
    old_status: TaskStatus,
    readonly attempt: number,
    readonly metrics: Readonly<Record<string, unknown>> = {},
  ) {
    super(task, old_status);
  }
}

/** An attempt failed; `final` when no other follows. */
export class TaskFailed extends TaskStatusEvent {
  static readonly type = 'task_failed';
  readonly type = TaskFailed.type;
  readonly severity: 'warning' | 'error';

  constructor(
    task: TaskSubject,
    old_status: TaskStatus,
    readonly attempt: number,
    readonly error: TaskFailure | null,
    readonly final: boolean,
  ) {
    super(task, old_status);
    this.severity = final ? 'error' : 'warning';
  }
}

export class TaskRetryScheduled extends TaskStatusEvent {
  static readonly type = 'task_retry_scheduled';
  readonly type = TaskRetryScheduled.type;
  readonly wanted: Wanted | null;

  constructor(
    task: Readiness,
    old_status: TaskStatus,
    readonly attempt: number,
    readonly max_attempts: number,
  ) {
    super(task, old_status);
    this.wanted = wantedOf(task);
  }
}

export class TaskCancelled extends TaskStatusEvent {
  static readonly type = 'task_cancelled';
  readonly type = TaskCancelled.type;
}

export class TaskSkipped extends TaskStatusEvent {
  static readonly type = 'task_skipped';
  readonly type = TaskSkipped.type;

  constructor(
    task: TaskSubject,
    old_status: TaskStatus,
    readonly reason: string,
  ) {
    super(task, old_status);
  }
}

export class TaskLeaseExpired extends TaskEvent {
  static readonly type = 'task_lease_expired';
  readonly type = TaskLeaseExpired.type;
  readonly severity = 'warning';

  constructor(
    task: TaskSubject,
    readonly attempt: number,
    readonly reason: 'lease_expired' | 'timeout',
  ) {
    super(task);
  }
}

export class TaskDeleted extends TaskEvent {
  static readonly type = 'task_deleted';
  readonly type = TaskDeleted.type;
  readonly status: TaskStatus;

  constructor(task: TaskSubject) {
    super(task);
    this.status = task.status;
  }
}

export class TasksBulkUpdated implements DomainEvent {
  static readonly type = 'tasks_bulk_updated';
  readonly type = TasksBulkUpdated.type;

  constructor(
    readonly task_ids: readonly string[],
    readonly project_id: string | null,
    readonly changes: Readonly<Record<string, unknown>>,
  ) {}
}

/** Events after which a task will not be worked on (for now); workflows hear them within the transaction. */
export const TASK_ENDINGS = [TaskCompleted, TaskFailed, TaskCancelled, TaskSkipped];
