import { DomainError, type FieldError } from './domain-error.js';

/** The request is understood, but some fields are not acceptable. */
export class InvalidInput extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'invalid_input';

  constructor(override readonly errors: readonly FieldError[]) {
    super(errors.map(({ pointer, detail }) => `${pointer || 'body'}: ${detail}`).join('; '), {}, errors);
  }

  below(field: string): InvalidInput {
    return new InvalidInput(this.errors.map(({ pointer, detail }) => ({ pointer: `/${field}${pointer}`, detail })));
  }
}

/** A field names something that does not exist, e.g. an unknown project. */
export class UnknownReference extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'unknown_reference';

  constructor(
    private readonly field: string,
    private readonly id: string,
    private readonly what: string,
  ) {
    const detail = `No ${what} has the id ${id}`;
    super(detail, { field }, [{ pointer: `/${field}`, detail }]);
  }

  below(field: string): UnknownReference {
    return new UnknownReference(`${field}/${this.field}`, this.id, this.what);
  }
}

/** Work on one field of a body: what is wrong in it is named by its place in the whole. */
export async function inField<T>(field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof InvalidInput || error instanceof UnknownReference ? error.below(field) : error;
  }
}

export class MalformedRequest extends DomainError {
  readonly kind = 'malformed';
  readonly code = 'malformed_request';
}

export class DatabaseTooSlow extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'database_too_slow';

  constructor() {
    super('The database took too long, so it was given up; try again shortly');
  }
}

export class DatabaseUnavailable extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'database_unavailable';

  constructor() {
    super('The database cannot be reached right now; try again shortly');
  }
}
