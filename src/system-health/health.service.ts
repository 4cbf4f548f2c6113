import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Environment } from '../platform/config/environment.js';
import { Database } from '../platform/database/database.js';
import { EventLog } from '../platform/events/event-log.js';
import { QueueName } from '../platform/queues/queue-name.js';
import { Rooms } from '../platform/sockets/rooms.js';

export const COMPONENTS = ['database', 'queue', 'redis', 'realtime', 'event_log'] as const;
export type Component = (typeof COMPONENTS)[number];

export interface ComponentHealth {
  status: 'healthy' | 'unhealthy';
  message: string;
  latency_ms: number;
}

/** A dependency that takes longer counts as away. */
const PATIENCE_MS = 800;
/** `/health` answers from what is known, and renews it when it is older than this. */
const FRESH_MS = 5_000;

/** Looks at what the server depends on. */
@Injectable()
export class HealthService implements OnApplicationBootstrap {
  private known: Record<Component, ComponentHealth> | null = null;
  private knownAt = -Infinity;
  private looking: Promise<Record<Component, ComponentHealth>> | null = null;
  private hasStarted = false;

  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    private readonly rooms: Rooms,
    private readonly environment: Environment,
    @InjectQueue(QueueName.Maintenance) private readonly queue: Queue,
  ) {}

  onApplicationBootstrap(): void {
    this.hasStarted = true;
  }

  /** Looks now. Several callers at once share one look. */
  look(): Promise<Record<Component, ComponentHealth>> {
    this.looking ??= this.lookAtAll().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  /** What was seen last; never waits for a slow dependency, except the very first time. */
  async lastLook(): Promise<Record<Component, ComponentHealth>> {
    if (this.known === null) return this.look();
    if (performance.now() - this.knownAt > FRESH_MS) void this.look();
    return this.known;
  }

  /** Why no request should come here; empty when it may. */
  async reasonsNotReady(): Promise<string[]> {
    if (!this.hasStarted) return ['starting'];
    const database = await this.check(() => this.database.query('SELECT 1'));
    return database.status === 'healthy' ? [] : [`database: ${database.message}`];
  }

  private async lookAtAll(): Promise<Record<Component, ComponentHealth>> {
    const [database, queue, redis, event_log] = await Promise.all([
      this.check(() => this.database.query('SELECT 1')),
      this.check(() => this.queue.getWaitingCount()),
      this.environment.REDIS_URL === '' ? notConfigured() : this.check(() => this.queue.getWaitingCount()),
      this.check(() => this.log.end()),
    ]);
    const realtime = this.rooms.isAttached
      ? { status: 'healthy' as const, message: `${this.rooms.socketCount} sockets`, latency_ms: 0 }
      : { status: 'unhealthy' as const, message: 'not started', latency_ms: 0 };
    this.known = { database, queue, redis, realtime, event_log };
    this.knownAt = performance.now();
    return this.known;
  }

  private async check(work: () => Promise<unknown>): Promise<ComponentHealth> {
    const begin = performance.now();
    const latency = () => Math.round((performance.now() - begin) * 100) / 100;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    });
    try {
      await Promise.race([work(), late]);
      return { status: 'healthy', message: 'ok', latency_ms: latency() };
    } catch (error) {
      // The reason is in the log of what failed; here it could show addresses.
      const message = error instanceof Error && error.message.startsWith('no answer') ? error.message : 'unreachable';
      return { status: 'unhealthy', message, latency_ms: latency() };
    } finally {
      clearTimeout(timer);
    }
  }
}

const notConfigured = (): ComponentHealth => ({ status: 'healthy', message: 'not configured', latency_ms: 0 });
