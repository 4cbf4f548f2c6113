import type { PoolClient } from 'pg';

const LIFT = `SELECT set_config(name, '0', $1) FROM unnest(ARRAY[
  'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) AS name`;

/** For what takes as long as it takes (migrations, backup, restore): until the connection or its transaction ends. */
export async function liftTimeouts(client: PoolClient, until: 'connection' | 'transaction'): Promise<void> {
  await client.query(LIFT, [until === 'transaction']);
}
