import { DomainError } from '../platform/errors/domain-error.js';

export class AgentNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'agent_not_found';

  constructor(agent_id: string) {
    super(`No agent has the id or key ${agent_id}`, { agent_id });
  }
}

export class AgentExists extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'agent_exists';

  constructor(what: string) {
    super(`There is already an agent with ${what}`);
  }
}
