import { type Hit, Windows } from './windows.js';

/** Counts the requests of each caller in this process: a window begins with the first of them. */
export class LocalWindows {
  private readonly windows = new Windows<{ used: number; ends_at: number }>();

  hit(key: string, window_ms: number, limit: number): Hit {
    const window = this.windows.open(key, (now) => ({ used: 0, ends_at: now + window_ms }));
    const is_allowed = window.used < limit;
    if (is_allowed) window.used += 1;
    return { is_allowed, remaining: limit - window.used, ends_at: window.ends_at };
  }
}
