import proxyAddr from '@fastify/proxy-addr';
import type { IncomingMessage } from 'node:http';
import type { Environment } from '../config/environment.js';

/** Reads where a request comes from, as Fastify does for those that it sees: handshakes of sockets pass it by. */
export function addressReader({ trusted_proxies }: Environment): (request: IncomingMessage) => string {
  const isTrusted = proxyAddr.compile(trusted_proxies);
  return (request) => proxyAddr(request, isTrusted) ?? '';
}
