import { describe, expect, it } from 'vitest';
import { readInstant } from './instant.js';

describe('an instant', () => {
  it.each([
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05.6Z', '2026-01-02T03:04:05.600Z'],
    ['2026-01-02T03:04:05.123456789Z', '2026-01-02T03:04:05.123Z'],
    ['2026-01-02T03:04:05+05:30', '2026-01-01T21:34:05.000Z'],
    ['2026-01-02T03:04:05-00:00', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02t03:04:05z', '2026-01-02T03:04:05.000Z'],
    ['2028-02-29T00:00:00Z', '2028-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
  ])('is read from %s', (text, read) => {
    expect(readInstant(text)?.toISOString()).toBe(read);
  });

  it.each([
    ['words', 'hello 7'],
    ['a number', '1'],
    ['a date of one country', '01/02/2026'],
    ['a date alone', '2026-01-02'],
    ['a time without an offset', '2026-01-02T03:04:05'],
    ['a time without seconds', '2026-01-02T03:04Z'],
    ['a space between', '2026-01-02 03:04:05Z'],
    ['space around', ' 2026-01-02T03:04:05Z'],
    ['a comma for the point', '2026-01-02T03:04:05,5Z'],
    ['a year of six digits', '+275760-01-01T00:00:00Z'],
    ['the 30th of February', '2026-02-30T00:00:00Z'],
    ['the 29th of February in a common year', '2026-02-29T00:00:00Z'],
    ['the 31st of April', '2026-04-31T00:00:00Z'],
    ['the 32nd', '2026-01-32T00:00:00Z'],
    ['a 13th month', '2026-13-01T00:00:00Z'],
    ['a 24th hour', '2026-01-02T24:00:00Z'],
    ['a 60th second', '2026-01-02T03:04:60Z'],
    ['an offset of a day', '2026-01-02T03:04:05+24:00'],
    ['nothing', ''],
  ])('is not %s', (_what, text) => {
    expect(readInstant(text)).toBeNull();
  });
});
