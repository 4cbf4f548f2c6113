/**
 * SQLSTATEs of statement_timeout, lock_timeout and idle_in_transaction_session_timeout. Source: PostgreSQL manual,
 * appendix A.
 */
const TIMEOUTS = new Set(['57014', '55P03', '25P03']);

/** Whether the database gave the statement or its transaction up because it took too long: nothing of it was done. */
export function isDatabaseTimeout(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, driverError } = error as { code?: unknown; driverError?: unknown };
  return (typeof code === 'string' && TIMEOUTS.has(code)) || isDatabaseTimeout(driverError);
}
