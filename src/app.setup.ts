import { VersioningType } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppModule, type AppExtras } from './app.module.js';
import { RequestAudit } from './audit/request-audit.js';
import { CACHE_HEADERS } from './platform/caching/caching.interceptor.js';
import type { Environment } from './platform/config/environment.js';
import type { DatabasePool } from './platform/database/database-pool.js';
import { serveDocs } from './platform/docs/docs.js';
import { answerClientError } from './platform/http/client-errors.js';
import { DrainingAdapter } from './platform/http/draining-adapter.js';
import { acceptJson } from './platform/http/json-body.js';
import { toJson } from './platform/http/json-text.js';
import { PAGE_HEADERS } from './platform/http/page.interceptor.js';
import { ProblemFilter } from './platform/http/problem.filter.js';
import { keepAddresses } from './platform/http/client-address.js';
import { addRequestHooks, requestId } from './platform/http/request-hooks.js';
import { RouteTable } from './platform/http/route-table.js';
import { serverLimits } from './platform/http/server-limits.js';
import { RATE_LIMIT_HEADERS } from './platform/limits/rate-limit.guard.js';
import { Log } from './platform/logging/logger.js';
import { SocketAdapter } from './platform/sockets/socket-adapter.js';

/** Paths outside /api. */
const OUTSIDE_API = ['/', 'health', 'health/detailed', 'health/ready', 'health/z', 'healthz', 'api/health', 'metrics'];

/** What a page in a browser may read: with credentials a `*` would stand for no header at all. */
const EXPOSED_HEADERS = [
  ...PAGE_HEADERS,
  ...RATE_LIMIT_HEADERS,
  ...CACHE_HEADERS,
  'X-Request-Id',
  'Location',
  'Idempotency-Replayed',
  'Retry-After',
];

/** The application with everything that its clients meet, but not listening yet: shared by main.ts and the tests. */
export async function createApp(
  environment: Environment,
  pool: DatabasePool,
  extra: AppExtras = [],
): Promise<NestFastifyApplication> {
  const filter: { current?: ProblemFilter } = {};
  const audit: { current?: RequestAudit } = {};
  const adapter = new DrainingAdapter({
    // Pipes judge parameters; Node has bounded the whole URL already.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 65_536 },
    genReqId: requestId,
    ...serverLimits(environment),
    // The first that is called for a request, before anything reads its address.
    rewriteUrl: (request: IncomingMessage) => {
      keepAddresses(request);
      return request.url ?? '/';
    },
    trustProxy: environment.trusted_proxies.length > 0 && environment.trusted_proxies,
    skipMiddie: true,
    // Idle connections must not keep a stopping server alive.
    forceCloseConnections: 'idle' as never,
    return503OnClosing: false,
    clientErrorHandler: answerClientError,
    // What the router itself refuses, e.g. a malformed URL.
    frameworkErrors: (error: unknown, request: unknown, reply: unknown) => {
      filter.current!.answer(error, request as FastifyRequest, reply as FastifyReply);
      audit.current!.noteUnreadable(request as FastifyRequest, reply as FastifyReply);
    },
  });
  const fastify = adapter.getInstance();
  filter.current = new ProblemFilter(RouteTable.of(fastify));
  addRequestHooks(fastify, environment, adapter);
  adapter.grace_seconds = environment.SHUTDOWN_GRACE_SECONDS;
  adapter.watchConnections();

  const app = await NestFactory.create<NestFastifyApplication>(AppModule.with(environment, pool, extra), adapter, {
    logger: new Log(environment),
    bodyParser: false,
    abortOnError: false,
    routeConflictPolicy: { duplicate: 'error', shadow: 'warn' },
  });
  audit.current = app.get(RequestAudit);
  acceptJson(fastify, environment.BODY_LIMIT_BYTES);
  fastify.setReplySerializer(toJson);
  app.setGlobalPrefix('api', { exclude: OUTSIDE_API });
  app.enableVersioning({ type: VersioningType.URI });
  app.useGlobalFilters(filter.current);
  app.useWebSocketAdapter(new SocketAdapter(app, environment));
  app.enableCors({
    origin: environment.cors_origins.includes('*') || environment.cors_origins,
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: 600,
    strictPreflight: false,
  });
  app.useSecurityHeaders({
    contentSecurityPolicy: {
      directives: {
        // The documentation works offline, so nothing comes from elsewhere.
        fontSrc: ["'self'", 'data:'],
        styleSrc: ["'self'", "'unsafe-inline'"],
        // ReDoc searches in a worker that it makes itself.
        workerSrc: ["'self'", 'blob:'],
        // Plain HTTP is for TLS in front of us to upgrade.
        upgradeInsecureRequests: null,
      },
    },
  });
  serveDocs(app);
  return app;
}
