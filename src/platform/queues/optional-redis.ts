import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeldomWarning } from '../logging/seldom.js';

/** Redis answers within a millisecond; one that does not is away, and no request shall wait for it again. */
const ANSWERS_WITHIN_MS = 250;
/** So often the answer could have been heard meanwhile: one long turn of our own is not Redis being slow. */
const CHANCES = 5;
const CONNECTS_WITHIN_MS = 2_000;
const MOST_BETWEEN_TRIES_MS = 1_000;

/** A Redis for what can be done without one: when it is away, nobody waits for it. */
export class OptionalRedis {
  private readonly redis: Redis;
  private readonly warning: SeldomWarning;
  /** Not its `status`: that of one which hangs stays `ready` for a while. */
  private isThere = false;
  private connecting: Promise<void> | null = null;

  /**
   * @param without what is done while it is away, for the log
   * @param onAway called when it has gone: what was known of it is old when it comes back
   */
  constructor(
    url: string,
    name: string,
    private readonly without: string,
    private readonly onAway: () => void = () => undefined,
  ) {
    this.warning = new SeldomWarning(new Logger(name));
    this.redis = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      enableAutoPipelining: true,
      connectTimeout: CONNECTS_WITHIN_MS,
      // Of a connection that nobody is at the other end of any more.
      socketTimeout: CONNECTS_WITHIN_MS,
      retryStrategy: (times) => Math.min(times * 100, MOST_BETWEEN_TRIES_MS),
    });
    this.redis.on('error', (error: Error) => this.tell(error));
    this.redis.on('close', () => this.leave());
    this.redis.on('ready', () => {
      this.isThere = true;
    });
  }

  get is_there(): boolean {
    return this.isThere;
  }

  /** Makes a script known as a command of its own. */
  define(name: string, numberOfKeys: number, lua: string): Redis {
    this.redis.defineCommand(name, { numberOfKeys, lua });
    return this.redis;
  }

  /** Goes on trying by itself when nothing answers. */
  connect(): Promise<void> {
    // Nest calls the hooks of a provider once for each name that it has.
    return (this.connecting ??= this.redis.connect().catch((error: Error) => this.tell(error)));
  }

  close(): void {
    this.redis.disconnect();
  }

  /** Null when it is away. */
  async ask<Answer>(question: (redis: Redis) => Promise<Answer>): Promise<{ answer: Answer } | null> {
    if (!this.isThere) return null;
    try {
      return { answer: await inTime(question(this.redis)) };
    } catch (error) {
      this.tell(error as Error);
      this.leave();
      // It is asked again when a new connection has shown that it answers.
      this.redis.disconnect(true);
      return null;
    }
  }

  private leave(): void {
    this.isThere = false;
    this.onAway();
  }

  private tell({ message }: Error): void {
    this.warning.warn(`Redis is away (${message}): ${this.without}`);
  }
}

/** Rejects when there is no answer in time. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const heard = answer.then((value) => ({ value }));
  for (let chance = 0; chance < CHANCES; chance++) {
    const result = await Promise.race([heard, sleep(ANSWERS_WITHIN_MS / CHANCES, null, { ref: false })]);
    if (result) return result.value;
  }
  throw new Error(`no answer within ${ANSWERS_WITHIN_MS} ms`);
}
