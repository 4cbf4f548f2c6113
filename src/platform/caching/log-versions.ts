import { Injectable, type OnModuleInit } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../database/new-id.js';
import { CommitSignal } from '../events/commit-signal.js';
import { EventTail, type Look } from '../events/event-tail.js';
import { matches } from '../events/handlers.js';

/** So old may be what this node knows of the commits of others. With what follows it stays below 100 ms. */
const KNOWS_FOR_MS = 50;
/** From here on it looks again while nobody has to wait for it. */
const RENEWS_AFTER_MS = 25;
/** Who waits longer than this for the log is better served by the database. */
const PATIENCE_MS = 500;
/** Transactions are short: so long it may take until the order of what has happened is known. */
const SETTLES_WITHIN_MS = 50;
const LOOK_AGAIN_MS = 4;

interface Known {
  /** How many events had been seen. */
  at: number;
  version: string;
}

/**
 * Names the state that the log has led to, as far as events of some types are concerned: by the id of the newest one.
 * Nodes that have seen the same events give the same name, and no state gets the name of another one.
 */
@Injectable()
export class LogVersions implements OnModuleInit {
  /** Before the first event of a type, only this node knows what it has seen. */
  private readonly beginning = newId();
  /** The newest settled event of each type, and which one it was of all. */
  private readonly newest = new Map<string, { id: string; count: number }>();
  private unsettled: readonly string[] = [];
  private count = 0;
  private readonly known = new WeakMap<readonly string[], Known>();
  private lookedAt = -Infinity;
  private committedAt = -Infinity;

  constructor(
    private readonly tail: EventTail,
    private readonly commits: CommitSignal,
  ) {}

  onModuleInit(): void {
    this.tail.onLook((look) => this.note(look));
    // Before the answer to the change is sent: who asks after that, asks for a look that has seen it.
    this.commits.onCommit(() => {
      this.committedAt = performance.now();
    });
  }

  /**
   * Of events whose types match one of the patterns. What is read from now on is at least as new as this version; it holds
   * all that this node has committed, and what others had committed {@link KNOWS_FOR_MS} ago. Null when that cannot be
   * said right now: the log cannot be read, or the order of such events is open because an earlier transaction runs.
   */
  async current(patterns: readonly string[]): Promise<string | null> {
    const now = performance.now();
    const needed = Math.max(this.committedAt, now - KNOWS_FOR_MS);
    if (this.lookedAt <= needed) await this.look(needed);
    else if (now - this.lookedAt > RENEWS_AFTER_MS) this.tail.wake();
    const patient_until = performance.now() + SETTLES_WITHIN_MS;
    while (this.lookedAt > needed) {
      if (!this.isOpen(patterns)) return this.versionOf(patterns);
      if (performance.now() > patient_until) break;
      await sleep(LOOK_AGAIN_MS);
      await this.look(performance.now());
    }
    return null;
  }

  private look(moment: number): Promise<void> {
    return Promise.race([this.tail.lookAfter(moment), sleep(PATIENCE_MS, undefined, { ref: false })]);
  }

  private note({ began_at, events, unsettled, is_whole }: Look): void {
    for (const { id, type } of events) this.newest.set(type, { id, count: ++this.count });
    this.unsettled = unsettled.map(({ type }) => type);
    if (is_whole) this.lookedAt = began_at;
  }

  private isOpen(patterns: readonly string[]): boolean {
    return this.unsettled.some((type) => patterns.some((pattern) => matches(pattern, type)));
  }

  private versionOf(patterns: readonly string[]): string {
    const known = this.known.get(patterns);
    if (known?.at === this.count) return known.version;
    let newest = { id: this.beginning, count: 0 };
    for (const [type, event] of this.newest) {
      if (event.count > newest.count && patterns.some((pattern) => matches(pattern, type))) newest = event;
    }
    this.known.set(patterns, { at: this.count, version: newest.id });
    return newest.id;
  }
}
