import { Injectable } from '@nestjs/common';
import { ApiKeyCreated } from '../auth/auth.events.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { UnknownReference } from '../platform/errors/common.errors.js';
import { Within } from '../platform/events/handlers.js';
import { ProjectDeleted } from '../projects/projects.events.js';
import { AgentsService } from './agents.service.js';

/** What agents do when something below them changes. */
@Injectable()
export class AgentsListener {
  constructor(private readonly agents: AgentsService) {}

  @Within([ApiKeyCreated])
  async assertKeyOfAgent({ agent_id, project_id }: ApiKeyCreated): Promise<void> {
    if (!agent_id) return;
    const agent = await this.agents.find(agent_id);
    // A key of one project could not act as an agent of none or of another.
    const isFit = agent !== null && (project_id === null || agent.project_id === project_id);
    if (!isFit) throw new UnknownReference('agent_id', agent_id, 'agent');
  }

  @Within([ProjectDeleted])
  removeWithProject({ project_id }: ProjectDeleted, tx: Transaction): Promise<void> {
    return this.agents.deleteOfProject(tx, project_id);
  }
}
