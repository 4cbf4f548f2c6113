import { Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import { runInContext } from '../context/request-context.js';
import { newId } from '../database/new-id.js';
import { InvalidInput } from '../errors/common.errors.js';
import { ServerStopping } from './http.errors.js';
import { isText } from './json-body.js';
import { pathOf } from './version.js';

const SANE_REQUEST_ID = /^[\w.:-]{1,128}$/;
/** Also a stopping server says how it is. */
const HEALTH = /^\/(api\/)?health/;

/** The client's own id, if it is sane, else a new one. */
export function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : newId();
}

/** What every request gets: its id in the answer, its context for the code below, a line in the debug log. */
export function addRequestHooks(fastify: FastifyInstance, isDebug: boolean, isDraining: () => boolean): void {
  const logger = new Logger('Request');

  fastify.addHook('onRequest', (request, _reply, done) => {
    done(isDraining() && !HEALTH.test(request.url) ? new ServerStopping() : undefined);
  });

  // Not earlier: reading the body leaves the asynchronous context.
  fastify.addHook('preValidation', (request, _reply, done) => {
    assertTextQuery(request);
    const endpoint = `${request.method} ${pathOf(request.url)}`;
    runInContext({ source: 'user', actor_type: 'user', request_id: request.id, endpoint, ip: request.ip }, done);
  });

  // The last hook of all: preflights and malformed URLs are answered before any other.
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('X-Request-Id', request.id);
    if (isDraining()) reply.header('Connection', 'close');
    done();
  });

  if (!isDebug) return;
  fastify.addHook('onResponse', (request, reply, done) => {
    const { method, url, id } = request;
    logger.debug(`${method} ${pathOf(url)} ${reply.statusCode} in ${reply.elapsedTime.toFixed(1)} ms (${id})`);
    done();
  });
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
