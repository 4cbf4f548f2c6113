import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { newId } from '../database/new-id.js';
import { MalformedRequest } from '../errors/common.errors.js';
import { describeError } from '../errors/describe-error.js';
import { retryAfterOf } from './problem.filter.js';
import { HeadersTooLarge, RequestTooSlow } from './http.errors.js';

/** Answers what is no request that Fastify would get to see: Node could not read it. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  answerOnSocket(socket, problemOf(error));
}

/** Answers where there is nothing but a connection, and ends it. */
export function answerOnSocket(socket: Duplex, error: unknown, instance = ''): void {
  const { status, headers, text } = problemAnswer(error, instance);
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines].join('\r\n');
  socket.end(`${head}\r\n\r\n${text}`, () => socket.destroy());
}

/** Answers a request that Fastify does not get to see. */
export function answerProblem(response: ServerResponse, error: unknown, instance: string): void {
  const { status, headers, text } = problemAnswer(error, instance);
  response.writeHead(status, headers).end(text);
}

function problemAnswer(error: unknown, instance: string) {
  const request_id = newId();
  const { status, body } = describeError(error, instance, request_id);
  const text = JSON.stringify(body);
  const retry_after = retryAfterOf(status, body);
  const headers = {
    'Content-Type': 'application/problem+json',
    'Content-Length': String(Buffer.byteLength(text)),
    'X-Request-Id': request_id,
    ...(retry_after !== null && { 'Retry-After': retry_after }),
  };
  return { status, headers, text };
}

function problemOf({ code }: NodeJS.ErrnoException): Error {
  if (code === 'HPE_HEADER_OVERFLOW') return new HeadersTooLarge();
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new RequestTooSlow();
  return new MalformedRequest(
    'This is no HTTP request: its first line, a header or the framing of its body is malformed',
  );
}
