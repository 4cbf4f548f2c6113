import { DomainError } from '../platform/errors/domain-error.js';

export class ApiKeyNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'api_key_not_found';

  constructor(key_id: string) {
    super(`No API key has the id ${key_id}`, { key_id });
  }
}

export class IdentityProviderAway extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'identity_provider_unavailable';

  constructor() {
    super('The keys of the identity provider cannot be had right now, so no token can be checked; try again shortly');
  }
}

export class ApiKeyOver extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'api_key_over';

  constructor(key_id: string) {
    super(`The API key ${key_id} was revoked or has expired; create another one`, { key_id });
  }
}
