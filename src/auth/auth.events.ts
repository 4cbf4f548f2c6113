import type { Role } from '../platform/access/principal.js';
import type { DomainEvent } from '../platform/events/domain-event.js';

/** Heard by the domains above within the same transaction: they refuse a project or an agent that does not exist. */
export class ApiKeyCreated implements DomainEvent {
  static readonly type = 'api_key_created';
  readonly type = ApiKeyCreated.type;

  constructor(
    readonly key_id: string,
    readonly prefix: string,
    readonly name: string,
    readonly role: Role,
    readonly project_id: string | null,
    readonly agent_id: string | null,
    readonly expires_at: Date | null,
  ) {}
}

export class ApiKeyRotated implements DomainEvent {
  static readonly type = 'api_key_rotated';
  readonly type = ApiKeyRotated.type;

  constructor(
    readonly key_id: string,
    readonly prefix: string,
    readonly project_id: string | null,
    /** Until when the secret before it is valid; null: no longer. */
    readonly previous_valid_until: Date | null,
  ) {}
}

export class ApiKeyRevoked implements DomainEvent {
  static readonly type = 'api_key_revoked';
  readonly type = ApiKeyRevoked.type;

  constructor(
    readonly key_id: string,
    readonly prefix: string,
    readonly project_id: string | null,
    readonly name: string,
  ) {}
}

/** From here on the key acts for this agent, or (null) for none until it registers one. */
export class ApiKeyBound implements DomainEvent {
  static readonly type = 'api_key_bound';
  readonly type = ApiKeyBound.type;

  constructor(
    readonly key_id: string,
    readonly prefix: string,
    readonly project_id: string | null,
    readonly agent_id: string | null,
  ) {}
}
