import { sqlStateOf } from './database-error.js';

/** Deadlock detected, could not serialize: nothing was written, and the database asks for a second try. */
const TRY_AGAIN = new Set(['40P01', '40001']);
const TRIES = 4;

/** Repeats a statement or a transaction as often as the database asks for it, up to a number. */
export async function tryAgain<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === TRIES || !TRY_AGAIN.has(sqlStateOf(error))) throw error;
    }
  }
}
