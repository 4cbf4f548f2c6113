import { describe, expect, it } from 'vitest';
import { newestTick, nextTick, Overlap, scheduleErrors } from './schedule.js';

const of = (cron: string, timezone = 'UTC') => ({ cron, timezone, overlap: Overlap.Skip });

function ticks(cron: string, timezone: string, from: string, count: number): string[] {
  const found: string[] = [];
  let at = new Date(from);
  while (found.length < count) {
    at = nextTick(of(cron, timezone), at)!;
    found.push(at.toISOString().slice(0, 16));
  }
  return found;
}

describe('the ticks of a schedule', () => {
  it.each([
    ['*/15 * * * *', '2026-01-01T00:00:00Z', ['2026-01-01T00:15', '2026-01-01T00:30']],
    ['30 6 * * 1-5', '2026-01-02T12:00:00Z', ['2026-01-05T06:30', '2026-01-06T06:30']],
    ['0 0 29 2 *', '2026-01-01T00:00:00Z', ['2028-02-29T00:00', '2032-02-29T00:00']],
    ['@daily', '2026-01-01T00:00:00Z', ['2026-01-02T00:00', '2026-01-03T00:00']],
  ])('of %s after %s', (cron, from, expected) => {
    expect(ticks(cron, 'UTC', from, 2)).toEqual(expected);
  });

  it('come once on the day on which the clocks go forward, though their hour is left out', () => {
    // Berlin, 29 March 2026: 02:00 is 03:00, which is 01:00 UTC.
    expect(ticks('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ]);
    // Santiago, 6 September 2026: midnight itself is left out.
    expect(ticks('0 0 * * *', 'America/Santiago', '2026-09-04T12:00:00Z', 3)).toEqual([
      '2026-09-05T04:00',
      '2026-09-06T04:00',
      '2026-09-07T03:00',
    ]);
  });

  it('come once on the day on which the clocks go back, though their hour comes twice', () => {
    expect(ticks('30 2 * * *', 'Europe/Berlin', '2026-10-24T00:00:00Z', 3)).toEqual([
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
  });

  it('of every hour come in both of the two that are the same on the clock', () => {
    expect(ticks('0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 3)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T01:00',
      '2026-10-25T02:00',
    ]);
  });
});

describe('the newest tick', () => {
  const minutely = of('* * * * *');

  it.each([
    ['2026-01-01T10:00:00Z', '2026-01-01T10:00:00Z', '2026-01-01T10:00:00.000Z'],
    ['2026-01-01T10:00:00Z', '2026-01-01T10:03:59Z', '2026-01-01T10:03:00.000Z'],
    ['2026-01-01T10:00:01Z', '2026-01-01T10:00:59Z', undefined],
  ])('between %s and %s', (from, until, expected) => {
    expect(newestTick(minutely, new Date(from), new Date(until))?.toISOString()).toBe(expected);
  });

  it.each([
    // The clocks go forward at 01:00 UTC, and back at 01:00 UTC.
    ['2026-03-28T02:00:00Z', '2026-03-29T00:59:00Z', undefined],
    ['2026-03-28T02:00:00Z', '2026-03-29T01:00:00Z', '2026-03-29T01:00:00.000Z'],
    ['2026-03-29T01:00:01Z', '2026-03-29T23:00:00Z', undefined],
    ['2026-10-25T00:00:00Z', '2026-10-25T03:00:00Z', '2026-10-25T00:30:00.000Z'],
    ['2026-10-25T00:30:01Z', '2026-10-25T03:00:00Z', undefined],
  ])('of half past two in Berlin, when the clocks change, between %s and %s', (from, until, expected) => {
    const daily = of('30 2 * * *', 'Europe/Berlin');
    expect(newestTick(daily, new Date(from), new Date(until))?.toISOString()).toBe(expected);
  });
});

describe('a schedule', () => {
  const NOW = new Date('2026-01-01T00:00:00Z');

  it.each(['* * * * *', '0 0 L * *', '@hourly', '5,35 8-18/2 * JAN-MAR MON'])('may be %s', (cron) => {
    expect(scheduleErrors(of(cron), NOW)).toEqual([]);
  });

  it.each(['', 'often', '* * * *', '* * * * * *', '60 * * * *', '*/0 * * * *', '* * 31 2 *', '0 0 * * 9', '@reboot'])(
    'may not be "%s"',
    (cron) => {
      expect(scheduleErrors(of(cron), NOW)).toMatchObject([{ field: 'cron', detail: expect.any(String) }]);
    },
  );

  it.each(['', 'Mars/Base', 'CEST!', '../etc'])('has no time zone "%s"', (timezone) => {
    expect(scheduleErrors(of('* * * * *', timezone), NOW)).toMatchObject([{ field: 'timezone' }]);
  });
});
