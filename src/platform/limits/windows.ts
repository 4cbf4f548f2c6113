/** What came of one more request. */
export interface Hit {
  is_allowed: boolean;
  /** How many more are allowed until the window ends. */
  remaining: number;
  /** When it ends, on the clock of `performance.now()`. */
  ends_at: number;
}

const SWEEP_EVERY_MS = 30_000;
/** Some 30 MB. More callers within a minute than this are an attack from many addresses. */
const MOST_KEYS = 200_000;

/** Something for each caller that is forgotten when its window is over. Bounded: the oldest go first. */
export class Windows<Window extends { ends_at: number } = { ends_at: number }> {
  private readonly windows = new Map<string, Window>();
  private sweptAt = performance.now();

  get size(): number {
    return this.windows.size;
  }

  /** The one that is open, else a new one. */
  open(key: string, begin: (now: number) => Window): Window {
    const now = performance.now();
    const known = this.windows.get(key);
    if (known && known.ends_at > now) return known;
    if (known) this.windows.delete(key);
    else this.makeRoom(now);
    const window = begin(now);
    this.windows.set(key, window);
    return window;
  }

  clear(): void {
    this.windows.clear();
  }

  private makeRoom(now: number): void {
    if (now - this.sweptAt > SWEEP_EVERY_MS) {
      this.sweptAt = now;
      for (const [key, { ends_at }] of this.windows) if (ends_at <= now) this.windows.delete(key);
    }
    if (this.windows.size < MOST_KEYS) return;
    for (const key of this.windows.keys()) {
      this.windows.delete(key);
      return;
    }
  }
}
