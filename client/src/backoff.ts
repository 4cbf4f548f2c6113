import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_MS = 100;
const LONGEST_MS = 5_000;

/**
 * Pauses between tries. Their limit doubles each time, and each is a random part of its limit ("full jitter"): clients
 * that lost a server together do not come back together.
 */
export class Backoff {
  private limit: number;

  constructor(
    private readonly firstMs = FIRST_MS,
    private readonly longestMs = LONGEST_MS,
  ) {
    this.limit = firstMs;
  }

  /** How long to pause now, in milliseconds. */
  next(): number {
    const pause = Math.random() * this.limit;
    this.limit = Math.min(this.limit * 2, this.longestMs);
    return pause;
  }

  /** Something went well: the next pause is short again. */
  reset(): void {
    this.limit = this.firstMs;
  }

  /** Pauses, and not shorter than the server asked for. Throws the signal's reason as soon as it is aborted. */
  async pause(signal?: AbortSignal, retry_after_seconds: number | null = null): Promise<void> {
    signal?.throwIfAborted();
    const ms = (retry_after_seconds ?? 0) * 1000 + this.next();
    await sleep(ms, undefined, { signal }).catch((error: unknown) => {
      throw signal?.aborted ? signal.reason : error;
    });
  }
}
