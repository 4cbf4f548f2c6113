import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LocalWindows } from './local-windows.js';
import { Windows } from './windows.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

describe('counting in memory', () => {
  let windows: LocalWindows;
  const hit = (key: string) => windows.hit(key, 60_000, 2);

  beforeEach(() => {
    windows = new LocalWindows();
  });

  it('lets through as many as the limit, each caller by itself', () => {
    const allowed = [hit('a'), hit('a'), hit('a'), hit('b')].map(({ is_allowed }) => is_allowed);

    expect(allowed).toEqual([true, true, false, true]);
  });

  it('begins anew a minute after the first request, however many are refused meanwhile', () => {
    const { ends_at } = hit('a');
    hit('a');
    vi.advanceTimersByTime(59_000);

    expect(hit('a')).toEqual({ is_allowed: false, remaining: 0, ends_at });

    vi.advanceTimersByTime(1_001);

    expect(hit('a')).toEqual({ is_allowed: true, remaining: 1, ends_at: expect.any(Number) });
  });
});

describe('windows', () => {
  const begin = (now: number) => ({ ends_at: now + 60_000 });

  it('are forgotten when they are over', () => {
    const windows = new Windows();
    windows.open('old', begin);
    vi.advanceTimersByTime(61_000);

    windows.open('new', begin);

    expect(windows.size).toBe(1);
  });

  it('are bounded: the oldest are given up first', () => {
    const windows = new Windows();
    const first = windows.open('first', begin);

    for (let index = 0; index < 200_100; index++) windows.open(`address ${index}`, begin);

    expect(windows.size).toBe(200_000);
    expect(windows.open('first', begin)).not.toBe(first);
  });
});
