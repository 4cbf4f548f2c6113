import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { newId } from '../database/new-id.js';
import { MalformedRequest } from '../errors/common.errors.js';
import { describeError } from '../errors/describe-error.js';
import { HeadersTooLarge, RequestTooSlow } from './http.errors.js';

/** Answers what is no request that Fastify would get to see: Node could not read it. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const request_id = newId();
  const { status, body } = describeError(problemOf(error), '', request_id);
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    `X-Request-Id: ${request_id}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`, () => socket.destroy());
}

function problemOf({ code }: NodeJS.ErrnoException): Error {
  if (code === 'HPE_HEADER_OVERFLOW') return new HeadersTooLarge();
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new RequestTooSlow();
  return new MalformedRequest(
    'This is no HTTP request: its first line, a header or the framing of its body is malformed',
  );
}
