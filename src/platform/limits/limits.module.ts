import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerModule } from '@nestjs/throttler';
import type { FastifyRequest } from 'fastify';
import type { Environment } from '../config/environment.js';
import { limitClassOf } from './limit-class.js';
import { Overload } from './overload.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { RateLimits, WINDOW_MS } from './rate-limits.js';
import { SocketLimits } from './socket-limits.js';
import { UnknownRoutes } from './unknown-routes.js';

/** How much one caller may ask for, and what is refused when all of them ask for too much. */
@Module({})
export class LimitsModule {
  /** After the module whose guard finds out who calls: guards run in the order in which they are made known. */
  static forRoot({ ENABLE_RATE_LIMITING }: Environment): DynamicModule {
    const throttler = ThrottlerModule.forRootAsync({
      inject: [RateLimits],
      useFactory: (limits: RateLimits) => ({
        storage: limits,
        throttlers: [
          {
            ttl: WINDOW_MS,
            limit: (context) => limits.of(limitClassOf(context.switchToHttp().getRequest<FastifyRequest>())!),
          },
        ],
      }),
    });
    return {
      module: LimitsModule,
      global: true,
      imports: ENABLE_RATE_LIMITING ? [throttler] : [],
      providers: [
        RateLimits,
        Overload,
        SocketLimits,
        ...(ENABLE_RATE_LIMITING ? [UnknownRoutes, { provide: APP_GUARD, useClass: RateLimitGuard }] : []),
      ],
      exports: [RateLimits, Overload, SocketLimits],
    };
  }
}
