import { maxHeaderSize } from 'node:http';
import type { Environment } from '../config/environment.js';

/** Requests through several proxies have some forty. */
export const MOST_HEADERS = 100;
/** No list has more than twenty filters. */
export const MOST_PARAMETERS = 100;

const CHECK_AT_MOST_MS = 5_000;
const CHECK_AT_LEAST_MS = 100;

/**
 * How long a client may take: Fastify's own defaults leave slow ones for ever, who hold a connection each. None of these
 * is about the time that an answer takes, which long polls have in plenty; sockets have their own pings instead.
 */
export function serverLimits(environment: Environment) {
  const requestTimeout = environment.HTTP_REQUEST_TIMEOUT_SECONDS * 1000;
  const headersTimeout = Math.min(environment.HTTP_HEADERS_TIMEOUT_SECONDS * 1000, requestTimeout);
  const connectionsCheckingInterval = Math.max(CHECK_AT_LEAST_MS, Math.min(CHECK_AT_MOST_MS, headersTimeout / 4));
  return {
    requestTimeout,
    // Also of one that does not read its answer, and of one whose machine is gone.
    connectionTimeout: environment.HTTP_IDLE_TIMEOUT_SECONDS * 1000,
    keepAliveTimeout: environment.HTTP_KEEP_ALIVE_SECONDS * 1000,
    // Node's own, so that --max-http-header-size stays the one way to change it.
    http: { headersTimeout, connectionsCheckingInterval, maxHeaderSize },
  };
}
