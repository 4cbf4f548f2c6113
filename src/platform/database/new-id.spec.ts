import { validate, version } from 'uuid';
import { describe, expect, it } from 'vitest';
import { newId } from './new-id.js';

describe('new ids', () => {
  it('are UUIDs of version 7 with the time, each greater than the one before it', () => {
    const before = Date.now();
    const ids = Array.from({ length: 100_000 }, newId);
    const after = Date.now();

    expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
    expect(ids.every((id, index) => index === 0 || id > ids[index - 1]!)).toBe(true);
    const times = [ids[0]!, ids.at(-1)!].map((id) => parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
    expect(times[0]).toBeGreaterThanOrEqual(before);
    expect(times[1]).toBeLessThanOrEqual(after);
  });

  it('share no random part', () => {
    const tails = Array.from({ length: 10_000 }, () => newId().slice(-8));

    expect(new Set(tails).size).toBeGreaterThan(9_990);
  });
});
