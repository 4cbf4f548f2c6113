import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  HttpStatus,
  Logger,
  MethodNotAllowedException,
  NotFoundException,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { describeError } from '../errors/describe-error.js';
import { RouteNotFound } from './http.errors.js';
import type { RouteTable } from './route-table.js';
import { pathOf } from './version.js';

/** Of what is away, and does not say itself how long. */
const RETRY_AFTER_SECONDS = 1;

const codes = new WeakMap<FastifyReply, string>();

/** The code of the problem that the reply tells of; null when it is none. */
export const problemCodeOf = (reply: FastifyReply): string | null => codes.get(reply) ?? null;

/** Turns whatever was thrown into a problem document. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Request');

  constructor(private readonly routes: RouteTable) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    this.answer(thrown, request, reply);
  }

  answer(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const path = pathOf(request.url);
    const { status, body, is_unexpected } = describeError(
      this.nameUnknownRoute(thrown, request, reply),
      path,
      request.id,
    );
    codes.set(reply, body.code);
    if (is_unexpected) this.logger.error(`${request.method} ${path} failed`, thrown);
    const retry_after = retryAfterOf(status, body);
    if (retry_after !== null) reply.header('Retry-After', retry_after);
    if (status === HttpStatus.UNAUTHORIZED) reply.header('WWW-Authenticate', 'Bearer');
    if (status === HttpStatus.PAYLOAD_TOO_LARGE) reply.header('Connection', 'close');
    // A malformed URL passes no hook.
    reply.header('X-Request-Id', request.id);
    // Fastify would append a charset, which problem+json does not have.
    reply
      .status(status)
      .header('content-type', 'application/problem+json')
      .send(Buffer.from(JSON.stringify(body)));
  }

  /** Nest's own 404 has no code and does not know that the path has other methods. */
  private nameUnknownRoute(thrown: unknown, request: FastifyRequest, reply: FastifyReply): unknown {
    if (!(thrown instanceof NotFoundException) && !(thrown instanceof HttpException && thrown.getStatus() === 404)) {
      return thrown;
    }
    const path = pathOf(request.url);
    const methods = this.routes.methodsOf(path);
    if (methods.length === 0 || methods.includes(request.method)) return new RouteNotFound(request.method, path);
    reply.header('Allow', methods.join(', '));
    return new MethodNotAllowedException(`${path} does not take ${request.method}, but ${methods.join(', ')}`, {
      errorCode: 'method_not_allowed',
    });
  }
}

/** In seconds; null for what is no better later. */
export function retryAfterOf(status: HttpStatus, body: Readonly<Record<string, unknown>>): string | null {
  if (typeof body.retry_after_seconds === 'number') return String(body.retry_after_seconds);
  return status === HttpStatus.SERVICE_UNAVAILABLE ? String(RETRY_AFTER_SECONDS) : null;
}
