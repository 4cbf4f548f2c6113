import { HttpException, HttpStatus } from '@nestjs/common';
import { DomainError } from '../errors/domain-error.js';

/** A socket sent more messages than it may. */
export class TooManyMessages extends HttpException {
  constructor(limit: number) {
    super(`More than ${limit} messages per second; slow down`, HttpStatus.TOO_MANY_REQUESTS, {
      errorCode: 'too_many_messages',
    });
  }
}

export class UnknownMessage extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'unknown_message';

  constructor(name: string) {
    super(`There is no message ${name}`);
  }
}
