import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { ThrottlerGuard, type ThrottlerRequest } from '@nestjs/throttler';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { currentContext } from '../context/request-context.js';
import { callerAt } from './caller.js';
import { type LimitClass, limitClassOf } from './limit-class.js';
import { RateLimited } from './limits.errors.js';
import { type Count, keyOf, RateLimits, WINDOW_MS } from './rate-limits.js';

/** What every answer of a limited route says, also to pages in browsers. */
export const RATE_LIMIT_HEADERS = [
  'RateLimit',
  'RateLimit-Policy',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
];

const ALLOWED = Promise.resolve(true);

/** Lets each caller make so many requests of a class in a minute: after access has found out who it is. */
@Injectable()
export class RateLimitGuard extends ThrottlerGuard {
  @Inject() private readonly limits!: RateLimits;

  /** Nearly always this node knows at once: then there is nothing for the throttler to look up and to wait for. */
  override canActivate(context: ExecutionContext): Promise<boolean> {
    // Messages on sockets have their own limit (`message-rate.ts`).
    if (context.getType() !== 'http') return ALLOWED;
    const request = requestOf(context);
    const limit_class = limitClassOf(request);
    if (limit_class === null) return ALLOWED;
    const limit = this.limits.of(limit_class);
    if (limit === 0) return ALLOWED;
    const count = this.limits.spendAtOnce(limit_class, callerOf(request));
    if (!count) return super.canActivate(context);
    describeLimit(context, limit_class, limit, count);
    return ALLOWED;
  }

  protected override async handleRequest({ context, limit, ttl }: ThrottlerRequest): Promise<boolean> {
    const request = requestOf(context);
    const limit_class = limitClassOf(request)!;
    const key = keyOf(limit_class, callerOf(request));
    const count = await this.storageService.increment(key, ttl, limit, 0, limit_class);
    describeLimit(context, limit_class, limit, count);
    if (count.isBlocked) throw new RateLimited(limit_class, limit, count.timeToExpire);
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
  context: ExecutionContext,
  limit_class: LimitClass,
  limit: number,
  { totalHits, timeToExpire }: Count,
): void {
  const remaining = limit - totalHits;
  context
    .switchToHttp()
    .getResponse<FastifyReply>()
    .headers({
      'RateLimit-Policy': `"${limit_class}";q=${limit};w=${WINDOW_MS / 1000}`,
      RateLimit: `"${limit_class}";r=${remaining};t=${timeToExpire}`,
      'X-RateLimit-Limit': limit,
      'X-RateLimit-Remaining': remaining,
      'X-RateLimit-Reset': timeToExpire,
    });
}
