import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { RateLimits } from './rate-limits.js';

/** Where there is no route there is no guard either: who asks for what does not exist is counted by address. */
@Injectable()
export class UnknownRoutes implements OnModuleInit {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly limits: RateLimits,
  ) {}

  /** Before the routes are made ready; a worker has none. */
  onModuleInit(): void {
    const fastify = this.host.httpAdapter?.getInstance<FastifyInstance | undefined>();
    // After the hooks of all kinds that come with a request, so that a page may read the answer; before the body.
    fastify?.addHook('preParsing', (request, _reply, _payload, done) => {
      if (!request.is404) return done();
      this.limits.spendByAddress(request).then(() => done(), done);
    });
  }
}
