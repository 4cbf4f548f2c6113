import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeldomWarning } from '../logging/seldom.js';
import { type Hit, Windows } from './windows.js';

/** Redis answers within a millisecond; one that does not is away, and no request shall wait for it again. */
const ANSWERS_WITHIN_MS = 250;
/** So often the answer could have been heard meanwhile: one long turn of our own is not Redis being slow. */
const CHANCES = 5;
const CONNECTS_WITHIN_MS = 2_000;
const MOST_BETWEEN_TRIES_MS = 1_000;

/** A node takes so much of what is left at once, and no more than that: others have theirs as well. */
const SHARE = 1 / 20;
const MOST_AT_ONCE = 100;

/** Gives a node a share of what a caller has left: how many it got, how many are left, and for how long. */
const TAKE_SHARE = `
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local ttl = redis.call('PTTL', KEYS[1])
if ttl <= 0 then
  used = 0
  ttl = tonumber(ARGV[2])
end
local free = math.max(0, tonumber(ARGV[1]) - used)
local usual = math.min(tonumber(ARGV[5]), math.floor(free * tonumber(ARGV[4])))
local given = math.min(free, math.max(tonumber(ARGV[3]), usual))
if given > 0 then redis.call('SET', KEYS[1], used + given, 'PX', ttl) end
return { given, free - given, ttl }`;

interface RedisWithShares extends Redis {
  takeShare(
    key: string,
    limit: number,
    window_ms: number,
    wanted: number,
    share: number,
    most: number,
  ): Promise<[given: number, left: number, ttl: number]>;
}

/** What this node may still let through for one caller. */
interface Share {
  own: number;
  /** What was left for all nodes when this one last asked. */
  others: number;
  ends_at: number;
  is_used_up: boolean;
  /** Requests that wait for the answer to a question that was not yet asked. */
  waiting: number;
  asking: Promise<void> | null;
}

/**
 * Counts the requests of each caller on all nodes. A node does not ask Redis for each request: it takes shares of what
 * is left, which become smaller the less there is. So all nodes together never let through more than the limit, and
 * hardly less: at most what lies unused on a node that the caller does not come back to.
 */
export class SharedWindows {
  private readonly redis: RedisWithShares;
  private readonly shares = new Windows<Share>();
  private readonly warning = new SeldomWarning(new Logger('RateLimits'));
  /** Not its `status`: that of one which hangs stays `ready` for a while. */
  private isThere = false;

  constructor(
    url: string,
    private readonly prefix: string,
  ) {
    this.redis = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      enableAutoPipelining: true,
      connectTimeout: CONNECTS_WITHIN_MS,
      // Of a connection that nobody is at the other end of any more.
      socketTimeout: CONNECTS_WITHIN_MS,
      retryStrategy: (times) => Math.min(times * 100, MOST_BETWEEN_TRIES_MS),
    }) as RedisWithShares;
    this.redis.defineCommand('takeShare', { numberOfKeys: 1, lua: TAKE_SHARE });
    this.redis.on('error', (error: Error) => this.tell(error));
    this.redis.on('close', () => this.leave());
    this.redis.on('ready', () => {
      this.isThere = true;
    });
  }

  /** Goes on trying by itself when nothing answers. */
  async connect(): Promise<void> {
    await this.redis.connect().catch((error: Error) => this.tell(error));
  }

  close(): void {
    this.redis.disconnect();
  }

  /** Null when Redis is away. */
  async hit(key: string, window_ms: number, limit: number): Promise<Hit | null> {
    while (this.isThere) {
      const share = this.shares.open(key, newShare);
      if (share.own > 0) {
        share.own -= 1;
        return { is_allowed: true, remaining: share.own + share.others, ends_at: share.ends_at };
      }
      if (share.is_used_up) return { is_allowed: false, remaining: 0, ends_at: share.ends_at };
      share.waiting += 1;
      share.asking ??= this.ask(key, share, window_ms, limit);
      await share.asking;
    }
    return null;
  }

  private async ask(key: string, share: Share, window_ms: number, limit: number): Promise<void> {
    const wanted = share.waiting;
    share.waiting = 0;
    // The node's window may end before that in Redis, but not after it.
    const asked_at = performance.now();
    try {
      const [given, left, ttl] = await inTime(
        this.redis.takeShare(`${this.prefix}:${key}`, limit, window_ms, wanted, SHARE, MOST_AT_ONCE),
      );
      Object.assign(share, { own: given, others: left, ends_at: asked_at + ttl, is_used_up: given === 0 });
    } catch (error) {
      this.tell(error as Error);
      this.leave();
      // It is asked again when a new connection has shown that it answers.
      this.redis.disconnect(true);
    } finally {
      share.asking = null;
    }
  }

  /** What it knew is old when it comes back: each node counts by itself meanwhile. */
  private leave(): void {
    this.isThere = false;
    this.shares.clear();
  }

  private tell({ message }: Error): void {
    this.warning.warn(`Redis is away (${message}): each node counts requests by itself`);
  }
}

const newShare = (): Share => ({
  own: 0,
  others: 0,
  ends_at: Infinity,
  is_used_up: false,
  waiting: 0,
  asking: null,
});

/** Rejects when there is no answer in time. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const heard = answer.then((value) => ({ value }));
  for (let chance = 0; chance < CHANCES; chance++) {
    const result = await Promise.race([heard, sleep(ANSWERS_WITHIN_MS / CHANCES, null, { ref: false })]);
    if (result) return result.value;
  }
  throw new Error(`no answer within ${ANSWERS_WITHIN_MS} ms`);
}
