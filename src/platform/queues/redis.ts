import { Redis } from 'ioredis';
import { StartupError } from '../errors/startup-error.js';

const ANSWERS_WITHIN_MS = 5_000;

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
