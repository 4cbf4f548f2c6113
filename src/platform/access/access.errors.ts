import { DomainError } from '../errors/domain-error.js';

export class CredentialMissing extends DomainError {
  readonly kind = 'unauthenticated';
  readonly code = 'credential_missing';

  constructor() {
    super('This needs a credential: an API key or a token, as Authorization: Bearer');
  }
}

/** Says no more: whether a key exists, and what is wrong with it, is for its owner to know. */
export class CredentialRefused extends DomainError {
  readonly kind = 'unauthenticated';
  readonly code = 'credential_refused';

  constructor() {
    super('The credential is not valid: it is unknown or wrong, has expired or was revoked');
  }
}

export class NotAllowed extends DomainError {
  readonly kind = 'forbidden';
  readonly code = 'not_allowed';
}
