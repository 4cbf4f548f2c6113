import { HttpException, HttpStatus } from '@nestjs/common';
import { maxHeaderSize } from 'node:http';
import { DomainError } from '../errors/domain-error.js';

export class RouteNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'route_not_found';

  constructor(method: string, path: string) {
    super(`There is no ${method} ${path}`);
  }
}

export class IdempotencyKeyReused extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'idempotency_key_reused';

  constructor() {
    super('This Idempotency-Key was used for a different request', {}, [
      { pointer: 'Idempotency-Key', detail: 'was used for a different request' },
    ]);
  }
}

export class IdempotencyKeyInUse extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'idempotency_key_in_use';

  constructor() {
    super('The first request with this Idempotency-Key is still running; repeat it in a moment');
  }
}

export class AnswerSealed extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'answer_sealed';

  constructor() {
    super('The first request succeeded, but its answer held a secret, which another SECRET_KEY has sealed');
  }
}

export class ServerStopping extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'server_stopping';

  constructor() {
    super('The server is stopping; try again shortly');
  }
}

export class BodyTooLarge extends HttpException {
  constructor(limit: number) {
    super(`The body is larger than ${limit} bytes`, HttpStatus.PAYLOAD_TOO_LARGE, { errorCode: 'body_too_large' });
  }
}

export class RequestTooSlow extends HttpException {
  constructor() {
    super('The request did not arrive in time', HttpStatus.REQUEST_TIMEOUT, { errorCode: 'request_too_slow' });
  }
}

export class HeadersTooLarge extends HttpException {
  constructor() {
    // Nest has no name for the status.
    super(`The URL and the headers have more than ${maxHeaderSize} bytes`, 431, { errorCode: 'headers_too_large' });
  }
}

export class TooManyHeaders extends HttpException {
  constructor(limit: number) {
    super(`The request has more than ${limit} headers`, 431, { errorCode: 'too_many_headers' });
  }
}

export class TooManyParameters extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'too_many_parameters';

  constructor(limit: number) {
    super(`The URL has more than ${limit} parameters`, { limit });
  }
}

export class BodyEncoded extends HttpException {
  constructor(encoding: string) {
    super(`A body must be sent as it is, without Content-Encoding: ${encoding}`, HttpStatus.UNSUPPORTED_MEDIA_TYPE, {
      errorCode: 'unsupported_content_encoding',
    });
  }
}
