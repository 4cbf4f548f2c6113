import { Injectable } from '@nestjs/common';
import { AgentCreated, AgentDeleted } from '../agents/agents.events.js';
import type { Transaction } from '../platform/database/unit-of-work.js';
import { Within } from '../platform/events/handlers.js';
import { ProjectDeleted } from '../projects/projects.events.js';
import { ApiKeysService } from './api-keys.service.js';

/** What becomes of keys when their agent or project comes and goes. */
@Injectable()
export class AuthListener {
  constructor(private readonly keys: ApiKeysService) {}

  @Within([AgentCreated])
  bindToAgent({ agent_id }: AgentCreated, tx: Transaction): Promise<void> {
    return this.keys.bindTo(tx, agent_id);
  }

  @Within([AgentDeleted])
  unbindFromAgent({ agent_id }: AgentDeleted, tx: Transaction): Promise<void> {
    return this.keys.unbind(tx, agent_id);
  }

  @Within([ProjectDeleted])
  revokeWithProject({ project_id }: ProjectDeleted, tx: Transaction): Promise<void> {
    return this.keys.revokeOfProject(tx, project_id);
  }
}
