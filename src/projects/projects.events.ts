import type { DomainEvent } from '../platform/events/domain-event.js';
import type { ProjectStatus } from './project-status.js';

export class ProjectCreated implements DomainEvent {
  static readonly type = 'project_created';
  readonly type = ProjectCreated.type;

  constructor(
    readonly project_id: string,
    readonly name: string,
    readonly status: ProjectStatus,
  ) {}
}

export class ProjectUpdated implements DomainEvent {
  static readonly type = 'project_updated';
  readonly type = ProjectUpdated.type;

  constructor(
    readonly project_id: string,
    readonly changes: Readonly<Record<string, unknown>>,
  ) {}
}

/** Heard by the domains above within the same transaction: they remove what belongs to the project, or refuse. */
export class ProjectDeleted implements DomainEvent {
  static readonly type = 'project_deleted';
  readonly type = ProjectDeleted.type;

  constructor(
    readonly project_id: string,
    readonly name: string,
  ) {}
}
