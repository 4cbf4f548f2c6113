import { describe, expect, it } from 'vitest';
import { canMove, canPeopleMove, hasEnded, PRIORITY_ALIASES, TaskPriority, TaskStatus } from './task-state.js';

const STATUSES = Object.values(TaskStatus);
const PAIRS = STATUSES.flatMap((from) => STATUSES.map((to) => [from, to] as const));

/** Written out once more, so that a slip in the table is noticed. */
const MOVES = new Set([
  'pending > in_progress',
  'pending > blocked',
  'pending > completed',
  'pending > cancelled',
  'pending > skipped',
  'blocked > pending',
  'blocked > cancelled',
  'blocked > skipped',
  'in_progress > completed',
  'in_progress > failed',
  'in_progress > cancelled',
  'in_progress > pending',
  'in_progress > waiting_for_hitl',
  'waiting_for_hitl > in_progress',
  'waiting_for_hitl > pending',
  'waiting_for_hitl > completed',
  'waiting_for_hitl > failed',
  'waiting_for_hitl > cancelled',
  'failed > pending',
  'failed > blocked',
  'cancelled > pending',
  'cancelled > blocked',
  'skipped > pending',
  'skipped > blocked',
]);

const MOVES_BY_PEOPLE = new Set([
  'pending > in_progress',
  'pending > completed',
  'pending > cancelled',
  'in_progress > completed',
  'in_progress > failed',
  'in_progress > cancelled',
  'in_progress > pending',
  'failed > pending',
  'cancelled > pending',
]);

describe('the moves of a task', () => {
  it.each(PAIRS)('from %s to %s are those of the table', (from, to) => {
    expect(canMove(from, to)).toBe(MOVES.has(`${from} > ${to}`));
  });

  it.each(PAIRS)('from %s to %s by people are those of the contract', (from, to) => {
    expect(canPeopleMove(from, to)).toBe(MOVES_BY_PEOPLE.has(`${from} > ${to}`));
  });

  it('by people are all moves of a task', () => {
    expect(PAIRS.filter(([from, to]) => canPeopleMove(from, to) && !canMove(from, to))).toEqual([]);
  });

  it('never leave what is completed', () => {
    expect(STATUSES.filter((to) => canMove(TaskStatus.Completed, to))).toEqual([]);
  });
});

describe('a task', () => {
  it('has ended when it is completed, failed, cancelled or skipped', () => {
    expect(STATUSES.filter(hasEnded)).toEqual(['completed', 'failed', 'cancelled', 'skipped']);
  });

  it('knows the priorities of older clients', () => {
    expect(PRIORITY_ALIASES).toEqual({ normal: TaskPriority.Medium, urgent: TaskPriority.Critical });
  });
});
