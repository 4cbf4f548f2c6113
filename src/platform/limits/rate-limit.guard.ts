import { type ExecutionContext, Injectable } from '@nestjs/common';
import { ThrottlerGuard, type ThrottlerRequest } from '@nestjs/throttler';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { currentContext } from '../context/request-context.js';
import { callerAt } from './caller.js';
import { type LimitClass, limitClassOf } from './limit-class.js';
import { RateLimited } from './limits.errors.js';

/** What every answer of a limited route says, also to pages in browsers. */
export const RATE_LIMIT_HEADERS = [
  'RateLimit',
  'RateLimit-Policy',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
];

/** Lets each caller make so many requests of a class in a minute: after access has found out who it is. */
@Injectable()
export class RateLimitGuard extends ThrottlerGuard {
  /** Messages on sockets have their own limit (`message-rate.ts`). */
  protected override shouldSkip(context: ExecutionContext): Promise<boolean> {
    return Promise.resolve(context.getType() !== 'http' || limitClassOf(requestOf(context)) === null);
  }

  protected override async handleRequest({ context, limit, ttl }: ThrottlerRequest): Promise<boolean> {
    if (limit === 0) return true;
    const request = requestOf(context);
    const limit_class = limitClassOf(request)!;
    const { totalHits, timeToExpire, isBlocked } = await this.storageService.increment(
      `${limit_class}:${callerOf(request)}`,
      ttl,
      limit,
      0,
      limit_class,
    );
    describeLimit(context.switchToHttp().getResponse(), limit_class, limit, limit - totalHits, timeToExpire, ttl);
    if (isBlocked) throw new RateLimited(limit_class, limit, timeToExpire);
    return true;
  }
}

const requestOf = (context: ExecutionContext): FastifyRequest => context.switchToHttp().getRequest<FastifyRequest>();

/** Who has a credential is counted by it, wherever it calls from. */
function callerOf({ ip }: FastifyRequest): string {
  const { principal } = currentContext();
  return principal ? `${principal.kind}:${principal.id}` : callerAt(ip);
}

/** By draft-ietf-httpapi-ratelimit-headers-10, and as many clients know it from before. */
function describeLimit(
  reply: FastifyReply,
  limit_class: LimitClass,
  limit: number,
  remaining: number,
  reset_seconds: number,
  window_ms: number,
): void {
  reply.headers({
    'RateLimit-Policy': `"${limit_class}";q=${limit};w=${window_ms / 1000}`,
    RateLimit: `"${limit_class}";r=${remaining};t=${reset_seconds}`,
    'X-RateLimit-Limit': limit,
    'X-RateLimit-Remaining': remaining,
    'X-RateLimit-Reset': reset_seconds,
  });
}
