import { DomainError } from '../platform/errors/domain-error.js';
import type { TaskStatus } from './task-state.js';

export class TaskNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'task_not_found';

  constructor(task_id: string) {
    super(`No task has the id ${task_id}`, { task_id });
  }
}

export class TaskMoveRefused extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'task_move_refused';

  constructor(task_id: string, from: TaskStatus, to: TaskStatus) {
    super(`A task that is ${from} cannot become ${to}`, { task_id, from, to });
  }
}

export class TaskInProgress extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'task_in_progress';

  constructor(task_id: string, what: string) {
    super(`The task is in progress and cannot be ${what}; cancel it first`, { task_id });
  }
}

export class LeaseLost extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'lease_lost';

  constructor(task_id: string) {
    super(`This lease of task ${task_id} is over: it ran out, was ended, or belongs to another agent`, { task_id });
  }
}

export class DependencyCycle extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'dependency_cycle';

  constructor(readonly path: readonly string[]) {
    super(`The tasks would wait for each other: ${path.join(' -> ')}`, { path });
  }
}

export class ProjectHasRunningTasks extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'project_has_running_tasks';

  constructor(project_id: string, count: number) {
    super(`${count} of the project's tasks are in progress; cancel them first`, { project_id, count });
  }
}
