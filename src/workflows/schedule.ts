import { Cron } from 'croner';

/** What happens at a tick while an earlier run is not over. */
export enum Overlap {
  /** This tick starts nothing. */
  Skip = 'skip',
  /** The run begins when the earlier one is over; more than one does not queue up. */
  Queue = 'queue',
  /** Both run. */
  Allow = 'allow',
  /** The earlier one is cancelled. */
  Cancel = 'cancel',
}

/** When a workflow runs by itself. */
export interface Schedule {
  /** Minute, hour, day of month, month, day of week; or @hourly, @daily, ... */
  cron: string;
  /** IANA name; the hours of `cron` are those of its clocks. */
  timezone: string;
  overlap: Overlap;
}

const parse = (cron: string, timezone: string): Cron => new Cron(cron, { timezone, mode: '5-part', paused: true });

/**
 * The first tick after an instant; null when there is none. A time of day that the clocks leave out comes when they go
 * on; one that they repeat comes once, unless the hour is free (`*`).
 */
export function nextTick({ cron, timezone }: Schedule, after: Date): Date | null {
  return parse(cron, timezone).nextRun(after);
}

/** The newest tick between `from` (inclusive) and `until` (inclusive). */
export function newestTick(schedule: Schedule, from: Date, until: Date): Date | null {
  let newest: Date | null = null;
  let tick = nextTick(schedule, new Date(from.getTime() - 1));
  while (tick && tick <= until) {
    newest = tick;
    tick = nextTick(schedule, tick);
  }
  return newest;
}

/** What is wrong with it, by field. */
export function scheduleErrors(schedule: Schedule, now: Date): { field: 'cron' | 'timezone'; detail: string }[] {
  try {
    Intl.DateTimeFormat('en', { timeZone: schedule.timezone });
  } catch {
    return [{ field: 'timezone', detail: 'must be an IANA time zone, e.g. Europe/Berlin' }];
  }
  try {
    if (nextTick(schedule, now)) return [];
    return [{ field: 'cron', detail: 'never comes' }];
  } catch (error) {
    const reason = (error as Error).message.replace(/^Cron\w+: /, '');
    return [{ field: 'cron', detail: `must be a cron expression of five fields: ${reason}` }];
  }
}
