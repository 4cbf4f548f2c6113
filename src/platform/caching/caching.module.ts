import { CacheModule } from '@nestjs/cache-manager';
import { type DynamicModule, Module } from '@nestjs/common';
import { Keyv } from 'keyv';
import type { Environment } from '../config/environment.js';
import { CacheUsage } from './cache-usage.js';
import { decodeAnswer, encodeAnswer } from './cached-answer.js';
import { LogVersions } from './log-versions.js';
import { MemoryStore } from './memory-store.js';
import { RedisStore } from './redis-store.js';

/** Answers that were given before: in memory, and behind it in Redis for all nodes as soon as there is one. */
@Module({})
export class CachingModule {
  static forRoot(environment: Environment): DynamicModule {
    const { ENABLE_CACHING, REDIS_URL, CACHE_MAX_ENTRIES, CACHE_MAX_BYTES } = environment;
    const isShared = ENABLE_CACHING && environment.serves_http && REDIS_URL !== '';
    const memory = new MemoryStore(CACHE_MAX_ENTRIES, CACHE_MAX_BYTES);
    return {
      module: CachingModule,
      global: true,
      imports: [
        CacheModule.registerAsync({
          isGlobal: true,
          useFactory: () => ({
            stores: [inProcess(memory), ...(isShared ? [inRedis(new RedisStore(environment))] : [])],
          }),
        }),
      ],
      providers: [{ provide: MemoryStore, useValue: memory }, LogVersions, CacheUsage],
      exports: [MemoryStore, LogVersions, CacheUsage],
    };
  }
}

/** As they are: what is only kept need not be written. */
function inProcess(store: MemoryStore): Keyv {
  const keyv = new Keyv({ store, useKeyPrefix: false });
  keyv.serialize = undefined;
  keyv.deserialize = undefined;
  return keyv;
}

function inRedis(store: RedisStore): Keyv {
  return new Keyv({ store, useKeyPrefix: false, serialize: encodeAnswer as never, deserialize: decodeAnswer as never });
}
