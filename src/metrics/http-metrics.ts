import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { Counter, Histogram } from 'prom-client';
import { MetricsService } from './metrics.service.js';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** For what has no route: a path that a client made up must not become a label. */
const NO_ROUTE = 'none';
/** From a list that comes from memory to a long poll that waits its 20 s. */
const BUCKETS = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25];

/** How many requests, how they ended, how long they took: by route as it is written, never by the path asked for. */
@Injectable()
export class HttpMetrics implements OnModuleInit {
  private readonly requests: Counter<'method' | 'route' | 'status'>;
  private readonly seconds: Histogram<'method' | 'route'>;

  constructor(
    private readonly host: HttpAdapterHost,
    { registry }: MetricsService,
  ) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'flightdeck_http_requests_total',
      help: 'Requests that this node has answered',
      labelNames: ['method', 'route', 'status'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'flightdeck_http_request_duration_seconds',
      help: 'From the first byte of a request to the last of its answer; long polls wait up to 20 s on purpose',
      labelNames: ['method', 'route'],
      buckets: BUCKETS,
      registers,
    });
  }

  /** Before the routes are made ready; a worker has none. */
  onModuleInit(): void {
    const fastify = this.host.httpAdapter?.getInstance<FastifyInstance | undefined>();
    fastify?.addHook('onResponse', (request, reply, done) => {
      const method = METHODS.has(request.method) ? request.method : 'other';
      const route = request.is404 ? NO_ROUTE : (request.routeOptions.url ?? NO_ROUTE);
      this.requests.inc({ method, route, status: reply.statusCode });
      this.seconds.observe({ method, route }, reply.elapsedTime / 1000);
      done();
    });
  }
}
