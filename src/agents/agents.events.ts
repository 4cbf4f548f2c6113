import type { DomainEvent } from '../platform/events/domain-event.js';
import type { AgentStatus } from './agent-status.js';

export interface CurrentTask {
  id: string;
  title: string | null;
}

export class AgentCreated implements DomainEvent {
  static readonly type = 'agent_created';
  readonly type = AgentCreated.type;

  constructor(
    readonly agent_id: string,
    readonly project_id: string | null,
    readonly name: string,
    readonly agent_type: string,
    readonly status: AgentStatus,
  ) {}
}

export class AgentUpdated implements DomainEvent {
  static readonly type = 'agent_updated';
  readonly type = AgentUpdated.type;

  constructor(
    readonly agent_id: string,
    readonly project_id: string | null,
    /** The changed fields with their new values; free-form ones by name only. */
    readonly changes: Readonly<Record<string, unknown>>,
  ) {}
}

export class AgentStatusUpdated implements DomainEvent {
  static readonly type = 'agent_status_updated';
  readonly type = AgentStatusUpdated.type;

  constructor(
    readonly agent_id: string,
    readonly project_id: string | null,
    readonly old_status: AgentStatus,
    readonly new_status: AgentStatus,
    readonly current_task: CurrentTask | null,
    readonly status: AgentStatus = new_status,
  ) {}
}

export class AgentMetricsUpdated implements DomainEvent {
  static readonly type = 'agent_metrics_updated';
  readonly type = AgentMetricsUpdated.type;

  constructor(
    readonly agent_id: string,
    readonly project_id: string | null,
    readonly metrics: Readonly<Record<string, unknown>>,
  ) {}
}

/** Heard by dispatch within the same transaction: it takes the agent's tasks back. */
export class AgentDeleted implements DomainEvent {
  static readonly type = 'agent_deleted';
  readonly type = AgentDeleted.type;

  constructor(
    readonly agent_id: string,
    readonly project_id: string | null,
    readonly name: string,
  ) {}
}
