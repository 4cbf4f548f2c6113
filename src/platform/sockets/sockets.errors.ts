import { HttpException, HttpStatus } from '@nestjs/common';

/** A socket sent more messages than it may. */
export class TooManyMessages extends HttpException {
  constructor(limit: number) {
    super(`More than ${limit} messages per second; slow down`, HttpStatus.TOO_MANY_REQUESTS, {
      errorCode: 'too_many_messages',
    });
  }
}
