import { expect, it } from 'vitest';
import { isConnectionFailure } from './connection-failure.js';

it.each([
  'Connection terminated unexpectedly',
  'timeout exceeded when trying to connect',
  // It broke between its loan and its first statement.
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Cannot use a pool after calling end on the pool',
  // It broke between two statements of a transaction.
  'Query runner already released. Cannot run queries anymore.',
  'Database connection provided by a query runner was already released, cannot continue to use its querying methods',
])('knows what is said of a connection that is gone: %s', (message) => {
  expect(isConnectionFailure(new Error(message))).toBe(true);
});

it('takes no other failure for one', () => {
  expect(isConnectionFailure(new Error('duplicate key value'))).toBe(false);
  expect(isConnectionFailure(Object.assign(new Error('duplicate key'), { code: '23505' }))).toBe(false);
  expect(isConnectionFailure('Connection terminated')).toBe(false);
});
