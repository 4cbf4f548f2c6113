import { statement } from './database.js';

/**
 * For the transactions of several requests: whatever holds one of their rows for long must not keep the others waiting.
 * It fails after this time, and `Batch` lets each go alone.
 */
export const WAIT_SHORTLY = statement('wait_shortly', `SELECT set_config('lock_timeout', '250ms', true)`);
