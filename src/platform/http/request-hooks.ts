import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Environment } from '../config/environment.js';
import { currentContext, type RequestContext, runInContext } from '../context/request-context.js';
import { RequestTrace } from '../context/request-trace.js';
import { newId } from '../database/new-id.js';
import { InvalidInput } from '../errors/common.errors.js';
import type { Shutdown } from './draining-adapter.js';
import { ServerStopping, TooManyHeaders, TooManyParameters } from './http.errors.js';
import { isText } from './json-body.js';
import { addRequestLog } from './request-log.js';
import { MOST_HEADERS, MOST_PARAMETERS } from './server-limits.js';
import { pathOf } from './version.js';

const SANE_REQUEST_ID = /^[\w.:-]{1,128}$/;
/** Also a stopping server says how it is. */
const ALWAYS_ANSWERED = /^\/((api\/)?health|metrics)/;

const MUTATING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Who acts, which may be known only from the body; null until that is read. Not in a WeakMap: its values outlive their
     * keys until the old generation is collected, and this one leads to all that the request has made.
     */
    acting: RequestContext | null;
  }
}

/** Whether the method is one that changes things. */
export const isMutating = ({ method }: FastifyRequest): boolean => MUTATING.has(method);

/** Who acts in the request, and in which one; also where that was refused before its body was read. */
export const contextOf = (request: FastifyRequest): Partial<RequestContext> => request.acting ?? originOf(request);

const originOf = (request: FastifyRequest) => ({
  source: 'user' as const,
  actor_type: 'user',
  request_id: request.id,
  endpoint: `${request.method} ${pathOf(request.url)}`,
  ip: request.ip,
  trace: isMutating(request) ? new RequestTrace() : null,
});

/** The client's own id, if it is sane, else a new one. */
export function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : newId();
}

/** What every request gets: its id in the answer, its context for the code below, a line in the log. */
export function addRequestHooks(fastify: FastifyInstance, environment: Environment, shutdown: Shutdown): void {
  fastify.decorateRequest('acting', null);

  fastify.addHook('onRequest', (request, _reply, done) => {
    done(shutdown.isDraining && !ALWAYS_ANSWERED.test(request.url) ? new ServerStopping() : undefined);
  });

  fastify.addHook('onRequest', ({ raw, query }, _reply, done) => {
    // Names and values take turns there.
    if (raw.rawHeaders.length > 2 * MOST_HEADERS) return done(new TooManyHeaders(MOST_HEADERS));
    done(hasMoreThan(query as object, MOST_PARAMETERS) ? new TooManyParameters(MOST_PARAMETERS) : undefined);
  });

  // Not earlier: reading the body leaves the asynchronous context.
  fastify.addHook('preValidation', (request, _reply, done) => {
    assertTextQuery(request);
    runInContext(originOf(request), () => {
      request.acting = currentContext();
      done();
    });
  });

  // The last hook of all: preflights and malformed URLs are answered before any other.
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('X-Request-Id', request.id);
    // So that its next request finds another node.
    if (shutdown.isStopping) reply.header('Connection', 'close');
    done();
  });

  addRequestLog(fastify, environment, contextOf);
}

/** One that comes a thousand times is a list of so many. */
function hasMoreThan(query: object, limit: number): boolean {
  let count = 0;
  for (const value of Object.values(query)) {
    count += Array.isArray(value) ? value.length : 1;
    if (count > limit) return true;
  }
  return false;
}

function assertTextQuery({ query, params }: FastifyRequest): void {
  for (const [name, value] of Object.entries({ ...(query as object), ...(params as object) })) {
    for (const text of [name, value].flat()) {
      if (typeof text === 'string' && !isText(text)) {
        throw new InvalidInput([{ pointer: name.toWellFormed(), detail: 'holds U+0000 or half a surrogate pair' }]);
      }
    }
  }
}
