import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { KeyvStoreAdapter } from 'keyv';
import type { Environment } from '../config/environment.js';
import { OptionalRedis } from '../queues/optional-redis.js';
import { redisPrefix } from '../queues/redis.js';
import { questionIn } from './question.js';

/** With {@link LARGEST} this bounds what it holds: the Redis of a job queue must not drop anything by itself. */
const SLOTS = 1_024;
/** In characters. */
const LARGEST = 65_536;

/**
 * Answers in Redis, for all nodes. A question has one of so many places, whoever had it before; what lies there says
 * which question, and which state of the data, it is the answer to. While Redis is away, nothing is found in it.
 */
export class RedisStore extends EventEmitter implements KeyvStoreAdapter {
  readonly opts = {};
  private readonly redis: OptionalRedis;
  private readonly prefix: string;

  constructor(environment: Environment) {
    super();
    this.redis = new OptionalRedis(environment.REDIS_URL, 'Caching', 'each node has only the answers of its own');
    this.prefix = `${redisPrefix(environment)}:cache`;
    void this.redis.connect();
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    const found = await this.redis.ask((redis) => redis.get(this.placeOf(key)));
    const text = found?.answer;
    if (!text?.startsWith(`${key}\n`)) return undefined;
    return text.slice(key.length + 1) as Value;
  }

  /** Nobody waits until it is there. */
  set(key: string, value: string, ttl: number): void {
    if (value.length > LARGEST) return;
    void this.redis.ask((redis) => redis.set(this.placeOf(key), `${key}\n${value}`, 'PX', ttl));
  }

  async delete(key: string): Promise<boolean> {
    return ((await this.redis.ask((redis) => redis.del(this.placeOf(key))))?.answer ?? 0) > 0;
  }

  async clear(): Promise<void> {
    const places = Array.from({ length: SLOTS }, (_, place) => this.place(place));
    await this.redis.ask((redis) => redis.del(places));
  }

  disconnect(): Promise<void> {
    this.redis.close();
    return Promise.resolve();
  }

  private placeOf(key: string): string {
    return this.place(createHash('sha256').update(questionIn(key)).digest().readUInt32BE() % SLOTS);
  }

  private place(number: number): string {
    return `${this.prefix}:${number}`;
  }
}
