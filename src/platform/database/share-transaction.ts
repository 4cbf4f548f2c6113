import { type Database, statement } from './database.js';
import { sqlStateOf } from './database-error.js';
import { openScope, type TransactionScope } from './transaction-scope.js';

/** Whatever holds a row of one of them for long must not keep the others waiting. */
const WAIT_SHORTLY = statement('wait_shortly', `SELECT set_config('lock_timeout', '250ms', true)`);
const LOCK_NOT_AVAILABLE = '55P03';
const shared = new WeakSet<TransactionScope>();

/** The transaction is that of several requests of a `Batch`, which lets each go alone when this one fails. */
export function shareTransaction(database: Database): void {
  shared.add(openScope()!);
  waitShortly(database);
}

/** Others wait for the end of this transaction: what is locked must be done another way. See {@link isLocked}. */
export const waitShortly = (database: Database): void => database.send(WAIT_SHORTLY, []);

/** Whether somebody else had a lock for longer than was waited for it. */
export const isLocked = (error: unknown): boolean => sqlStateOf(error) === LOCK_NOT_AVAILABLE;

/** Thrown where that is too much for one transaction. */
export class TooMuchTogether extends Error {}

/** Throws TooMuchTogether if each may go alone; otherwise it has to be done here, little by little. */
export function assertNotShared(): void {
  const scope = openScope();
  if (scope && shared.has(scope)) throw new TooMuchTogether();
}
