import type { PgPool } from 'bullmq';
import type { Pool } from 'pg';
import { isConnectionFailure } from '../errors/connection-failure.js';

const PAUSE_MS = 500;

/**
 * The pool as BullMQ gets it. Its worker asks again at once after most errors; while the database is away that would be
 * thousands of times a second. So bad news about the connection comes a little later here.
 */
export function patiently(pool: Pool): PgPool {
  const later = async (error: unknown): Promise<never> => {
    if (isConnectionFailure(error)) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    throw error;
  };
  const patient = {
    options: pool.options,
    query: (text: string, values?: unknown[]) => pool.query(text, values).catch(later),
    connect: () => pool.connect().catch(later),
    end: () => pool.end(),
    on(event: 'error', listener: (error: Error) => void) {
      pool.on(event, listener);
      return patient;
    },
    // Others listen to the same pool: what BullMQ added stays until the pool ends, soon after.
    removeAllListeners: () => patient,
  };
  return patient as unknown as PgPool;
}
