import type { TestApp } from './test-app.js';

/** While a transaction is open that has an id, no event that comes after it is told. */
export const HOLD_BACK_LOG = 'SELECT pg_current_xact_id()';

/** A transaction that somebody else has open on the server's database, after one statement. Answers what ends it. */
export async function openTransaction(
  { database }: TestApp,
  statement: string,
  values: unknown[] = [],
): Promise<() => Promise<void>> {
  const client = await database.pool.connect();
  await client.query('BEGIN');
  await client.query(statement, values);
  return async () => {
    await client.query('ROLLBACK');
    client.release();
  };
}
