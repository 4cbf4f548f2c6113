import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { setTimeout as sleep } from 'node:timers/promises';

/** So many failures are people's mistakes. */
const FREE = 3;
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 2_000;
const FORGOTTEN_AFTER_MS = 300_000;
/** Of addresses, and of prefixes: those whose last failure is oldest are forgotten first. */
const MOST_COUNTED = 10_000;
/** What waits costs memory: beyond this a refusal is told at once. */
const MOST_WAITING = 1_000;

/** Counts failures by what they have in common. */
class Failures {
  private readonly counts = new LRUCache<string, number>({ max: MOST_COUNTED, ttl: FORGOTTEN_AFTER_MS });

  /** How many there were of late, with this one. */
  add(subject: string): number {
    const failures = (this.counts.get(subject) ?? 0) + 1;
    this.counts.set(subject, failures);
    return failures;
  }
}

/** Slows down who tries credentials: by address, and by key. Who has the right one never waits. */
@Injectable()
export class FailedLogins {
  /** Since the start. */
  total = 0;
  private waiting = 0;
  private readonly byAddress = new Failures();
  private readonly byPrefix = new Failures();

  /** How many there were of late of this address, or of this key. */
  count(address: string, prefix: string | null): number {
    this.total++;
    return Math.max(this.byAddress.add(address), prefix === null ? 0 : this.byPrefix.add(prefix));
  }

  /** Resolves when the refusal may be told. */
  async slowDown(failures: number): Promise<void> {
    const delay = failures <= FREE ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (failures - FREE - 1), LONGEST_DELAY_MS);
    if (delay === 0 || this.waiting >= MOST_WAITING) return;
    this.waiting++;
    try {
      await sleep(delay, undefined, { ref: false });
    } finally {
      this.waiting--;
    }
  }
}
