import { DomainError, type FieldError } from './domain-error.js';

/** The request is understood, but some fields are not acceptable. */
export class InvalidInput extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'invalid_input';

  constructor(errors: readonly FieldError[]) {
    super(errors.map(({ pointer, detail }) => `${pointer || 'body'}: ${detail}`).join('; '), {}, errors);
  }
}

/** A field names something that does not exist, e.g. an unknown project. */
export class UnknownReference extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'unknown_reference';

  constructor(field: string, id: string, what: string) {
    const detail = `No ${what} has the id ${id}`;
    super(detail, { field }, [{ pointer: `/${field}`, detail }]);
  }
}

export class MalformedRequest extends DomainError {
  readonly kind = 'malformed';
  readonly code = 'malformed_request';
}

export class DatabaseUnavailable extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'database_unavailable';

  constructor() {
    super('The database cannot be reached right now; try again shortly');
  }
}
