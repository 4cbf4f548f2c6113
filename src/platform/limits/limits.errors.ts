import { DomainError } from '../errors/domain-error.js';
import type { LimitClass } from './limit-class.js';

export class RateLimited extends DomainError {
  readonly kind = 'too_many';
  readonly code = 'rate_limited';

  constructor(limit_class: LimitClass, limit: number, retry_after_seconds: number) {
    super(
      `More than ${limit} requests of the class ${limit_class} per minute; try again in ${retry_after_seconds} seconds`,
      { limit_class, limit, retry_after_seconds },
    );
  }
}

export class TooManySockets extends DomainError {
  readonly kind = 'too_many';
  readonly code = 'too_many_sockets';

  constructor(limit: number) {
    super(`Your address has ${limit} sockets open at this server; close some first`, { limit, retry_after_seconds: 5 });
  }
}

/** What makes a server refuse new work for a while. */
export const OVERLOAD_REASONS = ['event_loop', 'pool_queue'] as const;
export type OverloadReason = (typeof OVERLOAD_REASONS)[number];

export class Overloaded extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'overloaded';

  constructor(reason: OverloadReason) {
    super('The server has more to do than it can and takes no new work right now; try again shortly', {
      reason,
      retry_after_seconds: 2,
    });
  }
}
