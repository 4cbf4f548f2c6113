import { Redis } from 'ioredis';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Environment } from '../config/environment.js';
import { StartupError } from '../errors/startup-error.js';

const ANSWERS_WITHIN_MS = 5_000;

/** What our keys begin with. Servers on other databases may share the Redis, but not what these keep in it. */
export function redisPrefix({ DATABASE_URL, DATA_DIR }: Environment): string {
  const database = DATABASE_URL === '' ? [hostname(), resolve(DATA_DIR)] : [new URL(DATABASE_URL).pathname.slice(1)];
  return ['flightdeck', ...database].join(':');
}

/** Throws a StartupError when nothing usable answers. BullMQ is patient instead, as it must be with later outages. */
export async function assertRedisAnswers(url: string): Promise<void> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: ANSWERS_WITHIN_MS,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  let reason = `no answer within ${ANSWERS_WITHIN_MS / 1000} s`;
  // The promise only says that the connection is closed.
  redis.on('error', (error: Error & { errors?: Error[] }) => {
    reason = error.message || error.errors?.[0]?.message || reason;
  });
  const timer = setTimeout(() => redis.disconnect(), ANSWERS_WITHIN_MS);
  try {
    await redis.connect();
    await redis.ping();
  } catch {
    throw new StartupError(`The Redis at REDIS_URL cannot be reached: ${reason}.`);
  } finally {
    clearTimeout(timer);
    redis.disconnect();
  }
}
