import { Injectable } from '@nestjs/common';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { Within } from '../platform/events/handlers.js';
import { ProjectDeleted } from '../projects/projects.events.js';
import { AgentsService } from './agents.service.js';

/** What agents do when something below them changes. */
@Injectable()
export class AgentsListener {
  constructor(private readonly agents: AgentsService) {}

  @Within([ProjectDeleted])
  removeWithProject({ project_id }: ProjectDeleted, tx: Transaction): Promise<void> {
    return this.agents.deleteOfProject(tx, project_id);
  }
}
