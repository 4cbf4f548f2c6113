import type { DomainEvent } from '../platform/events/domain-event.js';
import type { TaskFailure } from '../tasks/task.entity.js';
import type { RunStatus } from './run-state.js';
import type { WorkflowStatus } from './workflow-state.js';

interface WorkflowSubject {
  id: string;
  project_id: string | null;
  name: string;
  status: WorkflowStatus;
  progress_percentage: number;
}

abstract class WorkflowEvent implements DomainEvent {
  abstract readonly type: string;
  readonly workflow_id: string;
  readonly project_id: string | null;
  readonly name: string;

  constructor({ id, project_id, name }: WorkflowSubject) {
    this.workflow_id = id;
    this.project_id = project_id;
    this.name = name;
  }
}

export class WorkflowCreated extends WorkflowEvent {
  static readonly type = 'workflow_created';
  readonly type = WorkflowCreated.type;
}

/** With an old and a new status, sockets get `workflow_status_updated` too. */
export class WorkflowUpdated extends WorkflowEvent {
  static readonly type = 'workflow_updated';
  readonly type = WorkflowUpdated.type;
  readonly new_status: WorkflowStatus;
  readonly progress: number;

  constructor(
    workflow: WorkflowSubject,
    readonly changes: Readonly<Record<string, unknown>>,
    readonly old_status: WorkflowStatus = workflow.status,
  ) {
    super(workflow);
    this.new_status = workflow.status;
    this.progress = workflow.progress_percentage;
  }
}

export class WorkflowDeleted extends WorkflowEvent {
  static readonly type = 'workflow_deleted';
  readonly type = WorkflowDeleted.type;
}

export class WorkflowExecuted extends WorkflowEvent {
  static readonly type = 'workflow_executed';
  readonly type = WorkflowExecuted.type;

  constructor(
    workflow: WorkflowSubject,
    readonly run_id: string,
    readonly run_number: number,
    readonly trigger: string,
  ) {
    super(workflow);
  }
}

export class WorkflowAgentAssigned extends WorkflowEvent {
  static readonly type = 'workflow_agent_assigned';
  readonly type = WorkflowAgentAssigned.type;

  constructor(
    workflow: WorkflowSubject,
    readonly agent_id: string,
    readonly agent_name: string,
  ) {
    super(workflow);
  }
}

export class WorkflowAgentRemoved extends WorkflowEvent {
  static readonly type = 'workflow_agent_removed';
  readonly type = WorkflowAgentRemoved.type;

  constructor(
    workflow: WorkflowSubject,
    readonly agent_id: string,
  ) {
    super(workflow);
  }
}

interface RunProgress {
  progress_percentage: number;
  total_tasks: number;
  completed_tasks: number;
  failed_tasks: number;
}

/** At most one per percent of a run. */
export class WorkflowProgressUpdated extends WorkflowEvent {
  static readonly type = 'workflow_progress_updated';
  readonly type = WorkflowProgressUpdated.type;
  readonly progress: number;
  readonly total_tasks: number;
  readonly completed_tasks: number;
  readonly failed_tasks: number;

  constructor(
    workflow: WorkflowSubject,
    readonly run_id: string,
    counts: RunProgress,
  ) {
    super(workflow);
    this.progress = counts.progress_percentage;
    this.total_tasks = counts.total_tasks;
    this.completed_tasks = counts.completed_tasks;
    this.failed_tasks = counts.failed_tasks;
  }
}

interface RunSubject {
  id: string;
  workflow_id: string;
  run_number: number;
  status: RunStatus;
  progress_percentage: number;
}

abstract class RunEvent implements DomainEvent {
  abstract readonly type: string;
  readonly run_id: string;
  readonly workflow_id: string;
  readonly project_id: string | null;
  readonly run_number: number;
  readonly status: RunStatus;
  readonly progress: number;

  constructor(run: RunSubject, { project_id }: WorkflowSubject) {
    this.run_id = run.id;
    this.workflow_id = run.workflow_id;
    this.project_id = project_id;
    this.run_number = run.run_number;
    this.status = run.status;
    this.progress = run.progress_percentage;
  }
}

export class RunStarted extends RunEvent {
  static readonly type = 'run_started';
  readonly type = RunStarted.type;
}
export class RunPaused extends RunEvent {
  static readonly type = 'run_paused';
  readonly type = RunPaused.type;
}
export class RunResumed extends RunEvent {
  static readonly type = 'run_resumed';
  readonly type = RunResumed.type;
}
export class RunCompleted extends RunEvent {
  static readonly type = 'run_completed';
  readonly type = RunCompleted.type;
}
export class RunCancelled extends RunEvent {
  static readonly type = 'run_cancelled';
  readonly type = RunCancelled.type;
}
export class RunFailed extends RunEvent {
  static readonly type = 'run_failed';
  readonly type = RunFailed.type;
  readonly severity = 'error';

  constructor(
    run: RunSubject,
    workflow: WorkflowSubject,
    readonly error: TaskFailure | null,
  ) {
    super(run, workflow);
  }
}

abstract class RunStepEvent extends RunEvent {
  readonly key: string;
  readonly tasks_total: number;
  readonly tasks_completed: number;
  readonly tasks_failed: number;

  constructor(
    run: RunSubject,
    workflow: WorkflowSubject,
    step: { key: string; tasks_total: number; tasks_completed: number; tasks_failed: number },
  ) {
    super(run, workflow);
    this.key = step.key;
    this.tasks_total = step.tasks_total;
    this.tasks_completed = step.tasks_completed;
    this.tasks_failed = step.tasks_failed;
  }
}

export class RunStepStarted extends RunStepEvent {
  static readonly type = 'run_step_started';
  readonly type = RunStepStarted.type;
}
export class RunStepCompleted extends RunStepEvent {
  static readonly type = 'run_step_completed';
  readonly type = RunStepCompleted.type;
}
export class RunStepSkipped extends RunStepEvent {
  static readonly type = 'run_step_skipped';
  readonly type = RunStepSkipped.type;
}
export class RunStepFailed extends RunStepEvent {
  static readonly type = 'run_step_failed';
  readonly type = RunStepFailed.type;
  readonly severity = 'warning';

  constructor(
    run: RunSubject,
    workflow: WorkflowSubject,
    step: { key: string; tasks_total: number; tasks_completed: number; tasks_failed: number },
    readonly error: TaskFailure | null,
  ) {
    super(run, workflow, step);
  }
}
