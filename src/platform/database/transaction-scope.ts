import { AsyncLocalStorage } from 'node:async_hooks';
import type { GuardedClient } from './guarded-client.js';
import type { Transaction } from './unit-of-work.js';

/** The unit of work that the running code is in, and the one connection that belongs to it. */
export interface TransactionScope {
  readonly client: GuardedClient;
  readonly transaction: Transaction;
  is_open: boolean;
  /** When the last of the statements is done that were gathered in it, and what will be sent next: see `Gather`. */
  last_turn?: Promise<unknown>;
  next_turn?: (() => Promise<void>)[];
}

export const transactionScope = new AsyncLocalStorage<TransactionScope>();

/** The scope, unless its transaction has ended (a timer may outlive it). */
export function openScope(): TransactionScope | undefined {
  const scope = transactionScope.getStore();
  return scope?.is_open ? scope : undefined;
}
