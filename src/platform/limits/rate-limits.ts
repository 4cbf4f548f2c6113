import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import type { FastifyRequest } from 'fastify';
import { Environment } from '../config/environment.js';
import { redisPrefix } from '../queues/redis.js';
import { callerAt } from './caller.js';
import { LIMIT_CLASSES, type LimitClass, limitClassOf } from './limit-class.js';
import { RateLimited } from './limits.errors.js';
import { LocalWindows } from './local-windows.js';
import { SharedWindows } from './shared-windows.js';
import type { Hit } from './windows.js';

/** What the throttler calls a storage record. */
export type Count = Awaited<ReturnType<ThrottlerStorage['increment']>>;

export const WINDOW_MS = 60_000;

/** Where requests are counted: in Redis for all nodes, in memory without one or while it is away. */
@Injectable()
export class RateLimits implements ThrottlerStorage, OnModuleInit, OnModuleDestroy {
  /** How many requests of each class were refused since the start. */
  readonly refusals: Record<LimitClass, number> = { read: 0, write: 0, upload: 0, lease: 0, login: 0, socket: 0 };
  private readonly limits: Readonly<Record<LimitClass, number>>;
  private readonly local = new LocalWindows();
  private readonly shared: SharedWindows | null;

  constructor(private readonly environment: Environment) {
    this.limits = Object.fromEntries(
      LIMIT_CLASSES.map((name) => [name, environment[`RATE_LIMIT_${toUpper(name)}_PER_MINUTE`]]),
    ) as Record<LimitClass, number>;
    const isShared = environment.ENABLE_RATE_LIMITING && environment.REDIS_URL !== '';
    this.shared = isShared ? new SharedWindows(environment.REDIS_URL, `${redisPrefix(environment)}:limits`) : null;
  }

  async onModuleInit(): Promise<void> {
    await this.shared?.connect();
  }

  onModuleDestroy(): void {
    this.shared?.close();
  }

  /** Per minute; 0 for what is not limited. */
  of(limit_class: LimitClass): number {
    return this.environment.ENABLE_RATE_LIMITING ? this.limits[limit_class] : 0;
  }

  /** Counts one more of a caller, outside the guard. Throws RateLimited. */
  async spend(limit_class: LimitClass, caller: string): Promise<void> {
    const limit = this.of(limit_class);
    if (limit === 0) return;
    const hit = await this.hit(keyOf(limit_class, caller), WINDOW_MS, limit, limit_class);
    if (!hit.is_allowed) throw new RateLimited(limit_class, limit, secondsUntil(hit.ends_at));
  }

  /** The same for a request before, or without, a guard that finds out who calls: it counts for its address. */
  async spendByAddress(request: FastifyRequest): Promise<void> {
    const limit_class = limitClassOf(request);
    if (limit_class !== null) await this.spend(limit_class, callerAt(request.ip));
  }

  /** Counts one more if this node can let it through without a question to others; else null, and nothing is counted. */
  spendAtOnce(limit_class: LimitClass, caller: string): Count | null {
    const limit = this.limits[limit_class];
    const key = keyOf(limit_class, caller);
    const hit = this.shared ? this.shared.hitAtOnce(key) : this.local.hit(key, WINDOW_MS, limit);
    return hit?.is_allowed ? countOf(hit, limit) : null;
  }

  /** The throttler's way to count; times are in seconds there. */
  async increment(key: string, ttl: number, limit: number, _blockDuration: number, name: string): Promise<Count> {
    return countOf(await this.hit(key, ttl, limit, name as LimitClass), limit);
  }

  private async hit(key: string, window_ms: number, limit: number, limit_class: LimitClass): Promise<Hit> {
    const hit = (await this.shared?.hit(key, window_ms, limit)) ?? this.local.hit(key, window_ms, limit);
    if (!hit.is_allowed) this.refusals[limit_class] += 1;
    return hit;
  }
}

/** Under which the requests of a class that one caller makes are counted. */
export const keyOf = (limit_class: LimitClass, caller: string): string => `${limit_class}:${caller}`;

function countOf({ is_allowed, remaining, ends_at }: Hit, limit: number): Count {
  const timeToExpire = secondsUntil(ends_at);
  return {
    totalHits: limit - remaining,
    timeToExpire,
    isBlocked: !is_allowed,
    timeToBlockExpire: is_allowed ? 0 : timeToExpire,
  };
}

const toUpper = <Text extends string>(text: Text): Uppercase<Text> => text.toUpperCase() as Uppercase<Text>;

/** At least one: what is over now is over in a moment. */
const secondsUntil = (ends_at: number): number => Math.max(1, Math.ceil((ends_at - performance.now()) / 1000));
