import { Injectable } from '@nestjs/common';
import { AgentDeleted } from '../agents/agents.events.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { Within } from '../platform/events/handlers.js';
import { ProjectDeleted } from '../projects/projects.events.js';
import { TaskDispatch } from './task-dispatch.js';
import { TaskRemoval } from './task-removal.js';

/** What tasks do when something below them changes. */
@Injectable()
export class TasksListener {
  constructor(
    private readonly dispatch: TaskDispatch,
    private readonly removal: TaskRemoval,
  ) {}

  @Within([AgentDeleted])
  takeBack({ agent_id }: AgentDeleted, tx: Transaction): Promise<void> {
    return this.dispatch.takeBackFrom(tx, agent_id);
  }

  @Within([ProjectDeleted])
  removeWithProject({ project_id }: ProjectDeleted, tx: Transaction): Promise<void> {
    return this.removal.ofProject(tx, project_id);
  }
}
