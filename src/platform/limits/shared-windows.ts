import type { Redis } from 'ioredis';
import { OptionalRedis } from '../queues/optional-redis.js';
import { type Hit, Windows } from './windows.js';

/** A node takes so much of what is left at once, and no more than that: others have theirs as well. */
const SHARE = 1 / 20;
const MOST_AT_ONCE = 1_000;

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

interface Shares {
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
  private readonly shares = new Windows<Share>();
  private readonly optional: OptionalRedis;
  private readonly redis: Redis & Shares;

  constructor(
    url: string,
    private readonly prefix: string,
  ) {
    const without = 'each node counts requests by itself';
    // What it knew is old when it comes back: each node counts by itself meanwhile.
    this.optional = new OptionalRedis(url, 'RateLimits', without, () => this.shares.clear());
    this.redis = this.optional.define('takeShare', 1, TAKE_SHARE) as Redis & Shares;
  }

  /** Goes on trying by itself when nothing answers. */
  connect(): Promise<void> {
    return this.optional.connect();
  }

  close(): void {
    this.optional.close();
  }

  /** From what this node has; null when it must ask for more. */
  hitAtOnce(key: string): Hit | null {
    const share = this.shares.open(key, newShare);
    if (share.own === 0) return null;
    share.own -= 1;
    return { is_allowed: true, remaining: share.own + share.others, ends_at: share.ends_at };
  }

  /** Null when Redis is away. */
  async hit(key: string, window_ms: number, limit: number): Promise<Hit | null> {
    while (this.optional.is_there) {
      const hit = this.hitAtOnce(key);
      if (hit) return hit;
      const share = this.shares.open(key, newShare);
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
    const result = await this.optional.ask(() =>
      this.redis.takeShare(`${this.prefix}:${key}`, limit, window_ms, wanted, SHARE, MOST_AT_ONCE),
    );
    if (result) {
      const [given, left, ttl] = result.answer;
      Object.assign(share, { own: given, others: left, ends_at: asked_at + ttl, is_used_up: given === 0 });
    }
    share.asking = null;
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
