import { Injectable } from '@nestjs/common';
import { AgentDeleted } from '../agents/agents.events.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { Within } from '../platform/events/handlers.js';
import { ProjectDeleted } from '../projects/projects.events.js';
import { hasEnded, TaskStatus } from '../tasks/task-state.js';
import {
  TASK_ENDINGS,
  type TaskCancelled,
  TaskCreated,
  TaskDeleted,
  TaskFailed,
  TaskRetryScheduled,
  TaskUpdated,
} from '../tasks/tasks.events.js';
import { TaskJoining } from './task-joining.js';
import { RunEngine } from './run-engine.js';
import { WorkflowAgents } from './workflow-agents.js';
import { WorkflowsService } from './workflows.service.js';

/** Moves runs on when their tasks do, within the same transaction. */
@Injectable()
export class WorkflowsListener {
  constructor(
    private readonly engine: RunEngine,
    private readonly joining: TaskJoining,
    private readonly workflows: WorkflowsService,
    private readonly agents: WorkflowAgents,
  ) {}

  @Within([ProjectDeleted])
  removeWithProject({ project_id }: ProjectDeleted, tx: Transaction): Promise<void> {
    return this.workflows.deleteOfProject(tx, project_id);
  }

  @Within([AgentDeleted])
  forgetAgent({ agent_id }: AgentDeleted, tx: Transaction): Promise<void> {
    return this.agents.forget(tx, agent_id);
  }

  @Within([TaskCreated])
  async join({ task_id, workflow_id, run_id }: TaskCreated, tx: Transaction): Promise<void> {
    if (workflow_id !== null && run_id === null) await this.joining.join(tx, workflow_id, task_id);
  }

  @Within(TASK_ENDINGS)
  advance(event: TaskCancelled | TaskFailed, tx: Transaction): void {
    const { run_id, task_id, step_key, new_status } = event;
    if (run_id === null || !hasEnded(new_status)) return;
    const error = 'error' in event ? event.error : null;
    this.engine.taskEnded(tx, { run_id, task_id, step_key, status: new_status, error });
  }

  /** A task comes back: for another attempt, or because somebody begins it anew. */
  @Within([TaskRetryScheduled, TaskUpdated])
  async holdOrCount(event: TaskRetryScheduled | TaskUpdated, tx: Transaction): Promise<void> {
    const { run_id, task_id, step_key, old_status, new_status } = event;
    if (run_id === null || old_status === null || old_status === new_status) return;
    // A run that has just adopted it has counted it.
    if (event instanceof TaskUpdated && event.changes.run_id === run_id) return;
    if (hasEnded(old_status)) await this.engine.taskRevived(tx, run_id, step_key);
    if (new_status === TaskStatus.Pending) await this.joining.holdIfPaused(run_id, task_id);
  }

  /** A task that is gone will not complete. */
  @Within([TaskDeleted])
  forget({ run_id, task_id, step_key, status }: TaskDeleted, tx: Transaction): void {
    if (run_id === null || hasEnded(status)) return;
    this.engine.taskEnded(tx, { run_id, task_id, step_key, status: TaskStatus.Cancelled, error: null });
  }
}
