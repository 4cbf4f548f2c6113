import { describe, expect, it } from 'vitest';
import { successRate, uptimePercentage } from './agent-metrics.js';

describe('the success rate', () => {
  it.each([
    [0, 0, 0],
    [3, 0, 100],
    [0, 3, 0],
    [1, 2, 33.33],
    [2, 1, 66.67],
    [2_147_483_647, 2_147_483_647, 50],
  ])('of %i completed and %i failed tasks is %d', (tasks_completed, tasks_failed, rate) => {
    expect(successRate({ tasks_completed, tasks_failed })).toBe(rate);
  });
});

describe('the uptime', () => {
  const now = Date.parse('2026-01-01T00:01:40Z');
  const secondsAgo = (seconds: number) => new Date(now - seconds * 1000);
  const never = { uptime_override: null, first_seen_at: null, online_since: null, online_seconds: 0 };

  it('is 0 for an agent that was never seen', () => {
    expect(uptimePercentage(never, now)).toBe(0);
  });

  it('is 100 for an agent that has been online since it was first seen', () => {
    const agent = { ...never, first_seen_at: secondsAgo(100), online_since: secondsAgo(100) };

    expect(uptimePercentage(agent, now)).toBe(100);
  });

  it('adds the time before a break to the time since', () => {
    const agent = { ...never, first_seen_at: secondsAgo(100), online_since: secondsAgo(20), online_seconds: 30 };

    expect(uptimePercentage(agent, now)).toBe(50);
  });

  it('counts only the time before for an agent that is offline', () => {
    expect(uptimePercentage({ ...never, first_seen_at: secondsAgo(100), online_seconds: 25 }, now)).toBe(25);
  });

  it('stays within 0 and 100, whatever the clocks say', () => {
    const justSeen = { ...never, first_seen_at: secondsAgo(0), online_since: secondsAgo(0) };

    expect(uptimePercentage({ ...justSeen, online_seconds: 1e6 }, now)).toBe(100);
    expect(uptimePercentage({ ...justSeen, first_seen_at: secondsAgo(-5), online_since: secondsAgo(-5) }, now)).toBe(0);
  });

  it('is what was set from outside, if anything was', () => {
    expect(uptimePercentage({ ...never, uptime_override: 99.5 }, now)).toBe(99.5);
  });
});
