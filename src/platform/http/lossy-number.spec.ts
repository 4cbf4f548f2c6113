import { describe, expect, it } from 'vitest';
import { lossyNumber } from './lossy-number.js';

describe('a number that JavaScript would change', () => {
  it.each([
    ['[9007199254740993]', '9007199254740993'],
    ['{"a":"x","b":-12345678901234567890}', '-12345678901234567890'],
    ['[1e309]', '1e309'],
    [`[${'9'.repeat(400)}]`, '9'.repeat(400)],
    ['["\\"", 12345678901234567891]', '12345678901234567891'],
  ])('is found in %s', (json, found) => {
    expect(lossyNumber(json)).toBe(found);
  });

  it.each([
    '[9007199254740992, 0, -1, 1e21, 1e300, 1e-400]',
    '[0.1234567890123456789, 3.141592653589793238]',
    '["12345678901234567891", "1e400", "\\\\\\"12345678901234567891"]',
    '{"12345678901234567891":1}',
    '[10000000000000000000000]',
  ])('is not seen in %s', (json) => {
    expect(lossyNumber(json)).toBeNull();
  });

  it.each([
    `["${'\\\\'.repeat(250_000)}1234567890123456"]`,
    `["${'a'.repeat(1_000_000)}1234567890123456"]`,
    `[${'1234567890123456,'.repeat(60_000)}1]`,
  ])('is looked for quickly', (json) => {
    const begin = performance.now();

    expect(lossyNumber(json)).toBeNull();
    expect(performance.now() - begin).toBeLessThan(500);
  });
});
