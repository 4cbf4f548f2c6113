/** What kind of failure it is; `describe-error.ts` gives each its status. */
export type DomainErrorKind =
  'malformed' | 'invalid' | 'unauthenticated' | 'forbidden' | 'not_found' | 'conflict' | 'too_many' | 'unavailable';

/** One field that is wrong: a JSON pointer (RFC 6901) into the body, or the name of a query parameter. */
export interface FieldError {
  pointer: string;
  detail: string;
}

/** A refusal that the domain decided on: its code is public and never reused, its message is for people. */
export abstract class DomainError extends Error {
  abstract readonly kind: DomainErrorKind;
  abstract readonly code: string;

  /** @param details further members of the problem document, for programs */
  constructor(
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    readonly errors?: readonly FieldError[],
  ) {
    super(message);
  }
}
