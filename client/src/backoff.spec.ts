import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.js';

const pauses = (backoff: Backoff, count: number) => Array.from({ length: count }, () => backoff.next());

describe('the pauses of a back-off', () => {
  it('double in their limit up to the longest, and are random below it', () => {
    const limits = [100, 200, 400, 800, 1_000, 1_000];
    const many = Array.from({ length: 1_000 }, () => pauses(new Backoff(100, 1_000), limits.length));

    for (const [index, limit] of limits.entries()) {
      const all = many.map((each) => each[index]!);
      expect(Math.max(...all)).toBeLessThanOrEqual(limit);
      expect(Math.max(...all)).toBeGreaterThan(limit * 0.9);
      expect(Math.min(...all)).toBeLessThan(limit * 0.1);
    }
  });

  it('are short again after a success', () => {
    const backoff = new Backoff(100, 10_000);
    pauses(backoff, 10);

    backoff.reset();

    expect(backoff.next()).toBeLessThanOrEqual(100);
  });

  it('end with the signal', async () => {
    const reason = new Error('Enough');

    await expect(new Backoff().pause(AbortSignal.abort(reason), 3600)).rejects.toBe(reason);
  });
});
