import { describe, expect, it } from 'vitest';
import { backoffSeconds, DEFAULT_RETRY } from './retry-policy.js';

const steady = { backoff_seconds: 1, factor: 2, max_seconds: 300, jitter: false };

describe('the wait before the next attempt', () => {
  it('grows by the factor with each attempt', () => {
    expect([1, 2, 3, 4].map((attempt) => backoffSeconds(steady, attempt))).toEqual([1, 2, 4, 8]);
  });

  it('never exceeds the most, however many attempts there were', () => {
    expect(backoffSeconds(steady, 100)).toBe(300);
    expect(backoffSeconds({ ...steady, factor: 100 }, 100_000)).toBe(300);
  });

  it('stays the same with the factor 1', () => {
    expect(backoffSeconds({ ...steady, factor: 1 }, 50)).toBe(1);
  });

  it('is nothing without a back-off', () => {
    expect(backoffSeconds({ ...steady, backoff_seconds: 0 }, 3)).toBe(0);
  });

  it('lies between half and all of it when chance has a say', () => {
    const policy = { ...steady, jitter: true };

    expect(backoffSeconds(policy, 3, 0)).toBe(2);
    expect(backoffSeconds(policy, 3, 0.5)).toBe(3);
    expect(backoffSeconds(policy, 3, 1)).toBe(4);
  });

  it('is that of the first attempt before any', () => {
    expect(backoffSeconds(steady, 0)).toBe(1);
  });

  it('has defaults: 1 s, doubled, at most 5 minutes, by chance', () => {
    expect(DEFAULT_RETRY).toEqual({ backoff_seconds: 1, factor: 2, max_seconds: 300, jitter: true });
  });
});
