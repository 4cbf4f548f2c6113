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

/** Whether it was decided, and is not only that something is away. */
export const isRefusal = (error: unknown): error is DomainError =>
  error instanceof DomainError && error.kind !== 'unavailable';

/** For `catch`: a refusal becomes the result; throws all else. */
export function refusalOf(error: unknown): DomainError {
  if (isRefusal(error)) return error;
  throw error;
}
