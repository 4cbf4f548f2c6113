import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Environment } from '../config/environment.js';
import { Database } from '../database/database.js';
import { limitClassOf } from './limit-class.js';
import { OVERLOAD_REASONS, Overloaded, type OverloadReason } from './limits.errors.js';

const LOOK_EVERY_MS = 100;
const WINDOW_MS = 1_000;
const RESOLUTION_MS = 20;

/**
 * Knows when this node has more to do than it can, and then refuses new work: before its body is read, and before it
 * makes what is under way slower still. Leases, heartbeats and results go on, as refusing those would make more work.
 *
 * One long pause, or a burst of requests, is no overload: the turns of the event loop must take too long on average over
 * a second, or the queue of the pool be too long at every look for a second. It ends when half of that is reached.
 */
@Injectable()
export class Overload implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  /** How many requests were refused for each reason since the start. */
  readonly refusals: Record<OverloadReason, number> = { event_loop: 0, pool_queue: 0 };
  private readonly logger = new Logger(Overload.name);
  private readonly reasons = new Set<OverloadReason>();
  private readonly delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private windowBeganAt = 0;
  private shortestQueue = Infinity;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly environment: Environment,
    private readonly database: Database,
    private readonly host: HttpAdapterHost,
  ) {}

  /** Before the routes are made ready. */
  onModuleInit(): void {
    if (!this.isWatching) return;
    const fastify = this.host.httpAdapter.getInstance<FastifyInstance>();
    // After the hooks of all kinds that come with a request, so that a page may read the answer; before the body.
    fastify.addHook('preParsing', (request, _reply, _payload, done) => {
      done(this.isNewWork(request) ? this.refusal() : null);
    });
  }

  /** What happens until then, happens once. */
  onApplicationBootstrap(): void {
    if (!this.isWatching) return;
    this.delays.enable();
    this.beginWindow();
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
    this.delays.disable();
  }

  /** Those that hold right now. */
  get current(): readonly OverloadReason[] {
    return OVERLOAD_REASONS.filter((reason) => this.reasons.has(reason));
  }

  /** Null while there is none; counted, so ask for it only to give it to someone. */
  refusal(): Overloaded | null {
    const [reason] = this.reasons;
    if (reason === undefined) return null;
    this.refusals[reason] += 1;
    return new Overloaded(reason);
  }

  private get isWatching(): boolean {
    const { serves_http, OVERLOAD_EVENT_LOOP_LAG_MS, OVERLOAD_POOL_QUEUE } = this.environment;
    return serves_http && (OVERLOAD_EVENT_LOOP_LAG_MS > 0 || OVERLOAD_POOL_QUEUE > 0);
  }

  private isNewWork(request: FastifyRequest): boolean {
    if (this.reasons.size === 0) return false;
    const limit_class = limitClassOf(request);
    return limit_class !== null && limit_class !== 'lease';
  }

  private beginWindow(): void {
    this.delays.reset();
    this.shortestQueue = Infinity;
    this.windowBeganAt = performance.now();
  }

  private look(): void {
    this.shortestQueue = Math.min(this.shortestQueue, this.database.pool.waitingCount);
    // In a turn that took a second it may be looked at before it is measured.
    if (performance.now() - this.windowBeganAt < WINDOW_MS || this.delays.count === 0) return;
    // A turn is measured by how late a timer of so many milliseconds is.
    const lag_ms = Math.max(0, this.delays.mean / 1e6 - RESOLUTION_MS);
    this.judge('event_loop', lag_ms, this.environment.OVERLOAD_EVENT_LOOP_LAG_MS);
    this.judge('pool_queue', this.shortestQueue, this.environment.OVERLOAD_POOL_QUEUE);
    this.beginWindow();
  }

  private judge(reason: OverloadReason, value: number, limit: number): void {
    if (limit === 0) return;
    const isOver = this.reasons.has(reason);
    if (!isOver && value > limit) {
      this.reasons.add(reason);
      this.logger.warn(`New work is refused: ${reason} is at ${Math.round(value)}, more than ${limit}`);
    } else if (isOver && value <= limit / 2) {
      this.reasons.delete(reason);
      this.logger.warn(`New work is taken again: ${reason} is at ${Math.round(value)}`);
    }
  }
}
