import { Injectable } from '@nestjs/common';
import { ownRows } from '../platform/access/scope.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { UnknownReference } from '../platform/errors/common.errors.js';
import { RunStatus } from './run-state.js';
import { RunStateStore } from './run-state-store.js';
import { RunTasks } from './run-tasks.js';
import { Workflow } from './workflow.entity.js';
import { WorkflowsService } from './workflows.service.js';

/** Tasks that people put into a workflow by hand. */
@Injectable()
export class TaskJoining {
  constructor(
    private readonly store: RunStateStore,
    private readonly runTasks: RunTasks,
    private readonly workflows: WorkflowsService,
  ) {}

  /**
   * In a workflow without a definition the task joins the live run, or waits until the workflow is executed. A
   * workflow with a definition knows its tasks: others may bear its id, but are no part of its runs.
   */
  async join(tx: Transaction, workflow_id: string, task_id: string): Promise<void> {
    // Locked by who creates the task: an execution that began meanwhile would neither adopt it nor be seen here.
    const workflow = await tx.manager.findOneBy(Workflow, { id: workflow_id, ...ownRows() });
    if (!workflow) throw new UnknownReference('workflow_id', workflow_id, 'workflow');
    const { allowed_agent_ids } = await this.store.conditions(workflow_id);
    if (allowed_agent_ids) {
      await tx.manager.query('UPDATE tasks SET allowed_agent_ids = $2 WHERE id = $1', [task_id, allowed_agent_ids]);
    }
    if (workflow.definition !== null) return;
    const found = await this.workflows.liveRun(workflow_id);
    const live = found && (await this.store.lock(found.id));
    if (live && (live.run.status === RunStatus.Running || live.run.status === RunStatus.Paused)) {
      await tx.manager.query('UPDATE tasks SET run_id = $2 WHERE id = $1', [task_id, live.run.id]);
      Object.assign(live.run, await this.runTasks.count(live.run.id));
      await this.store.save(tx, live);
      if (live.run.status === RunStatus.Running) return;
    }
    await this.runTasks.hold(task_id);
  }

  async holdIfPaused(run_id: string, task_id: string): Promise<void> {
    const live = await this.store.lock(run_id);
    if (live?.run.status === RunStatus.Paused) await this.runTasks.hold(task_id);
  }
}
