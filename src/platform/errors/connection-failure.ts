/** SQLSTATE classes and Node's codes that mean "no database right now". Source: PostgreSQL manual, appendix A. */
const AWAY = /^(08|57P0\d|53[13]00|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/;
/** Words of `pg`; and TypeORM's for a connection that broke between two statements, as it lets go of it by itself. */
const AWAY_MESSAGES = new RegExp(
  [
    'Connection terminated',
    'timeout exceeded when trying to connect',
    'Client was closed',
    'encountered a connection error',
    'is not queryable',
    'pool after calling end',
    '[Qq]uery runner (was )?already released',
  ].join('|'),
);

/** Whether the failure is of the way to the database, so that the same request may succeed later. */
export function isConnectionFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, driverError, errors } = error as { code?: unknown; driverError?: unknown; errors?: unknown[] };
  return (
    (typeof code === 'string' && AWAY.test(code)) ||
    AWAY_MESSAGES.test(error.message) ||
    isConnectionFailure(driverError) ||
    (Array.isArray(errors) && errors.some(isConnectionFailure))
  );
}
