import proxyAddr from '@fastify/proxy-addr';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Environment } from '../config/environment.js';

const HEADER = 'x-forwarded-for';
/** As some proxies write it, with the port. */
const WITH_PORT = /^(?:\[([0-9a-f:.]{2,45})\]|([0-9.]{7,15})):\d{1,5}$/i;

/** Reads where a request comes from, as Fastify does for those that it sees: handshakes of sockets pass it by. */
export function addressReader({ trusted_proxies }: Environment): (request: IncomingMessage) => string {
  const isTrusted = proxyAddr.compile(trusted_proxies);
  return (request) => {
    keepAddresses(request);
    return proxyAddr(request, isTrusted) ?? '';
  };
}

/** What stands there besides addresses no proxy has written, and so neither what stands before it. Ports are cut off. */
export function keepAddresses({ headers }: Pick<IncomingMessage, 'headers'>): void {
  const forwarded = headers[HEADER];
  if (forwarded === undefined) return;
  const addresses = String(forwarded).split(',').map(addressIn);
  const kept = addresses.slice(addresses.lastIndexOf(null) + 1);
  if (kept.length > 0) headers[HEADER] = kept.join(', ');
  else delete headers[HEADER];
}

function addressIn(text: string): string | null {
  const trimmed = text.trim();
  const [, v6, v4] = WITH_PORT.exec(trimmed) ?? [];
  const address = v6 ?? v4 ?? trimmed;
  return isIP(address) === 0 ? null : address;
}
