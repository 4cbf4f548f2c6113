import { describe, expect, it } from 'vitest';
import { canRunMove, canStepMove, hasStepEnded, isLive, LIVE_STATUSES, RunStatus, StepStatus } from './run-state.js';

const pairsOf = <T>(values: T[]): [T, T][] => values.flatMap((from) => values.map((to): [T, T] => [from, to]));

describe('the states of a run', () => {
  const ALLOWED = new Set([
    'scheduled -> running',
    'scheduled -> cancelled',
    'running -> paused',
    'running -> completed',
    'running -> failed',
    'running -> skipped',
    'running -> cancelled',
    'paused -> running',
    'paused -> completed',
    'paused -> failed',
    'paused -> cancelled',
  ]);

  it.each(pairsOf(Object.values(RunStatus)))('%s -> %s', (from, to) => {
    expect(canRunMove(from, to)).toBe(ALLOWED.has(`${from} -> ${to}`));
  });

  it('are live until they are over', () => {
    expect(LIVE_STATUSES).toEqual([RunStatus.Scheduled, RunStatus.Running, RunStatus.Paused]);
    expect(Object.values(RunStatus).filter((status) => !isLive(status))).toEqual([
      RunStatus.Completed,
      RunStatus.Failed,
      RunStatus.Cancelled,
    ]);
  });
});

describe('the states of a step', () => {
  const ALLOWED = new Set([
    'pending -> running',
    'pending -> completed',
    'pending -> failed',
    'pending -> skipped',
    'pending -> cancelled',
    'running -> completed',
    'running -> failed',
    'running -> skipped',
    'running -> cancelled',
  ]);

  it.each(pairsOf(Object.values(StepStatus)))('%s -> %s', (from, to) => {
    expect(canStepMove(from, to)).toBe(ALLOWED.has(`${from} -> ${to}`));
  });

  it('end once and for all', () => {
    expect(Object.values(StepStatus).filter(hasStepEnded)).toEqual([
      StepStatus.Completed,
      StepStatus.Failed,
      StepStatus.Skipped,
      StepStatus.Cancelled,
    ]);
  });
});
