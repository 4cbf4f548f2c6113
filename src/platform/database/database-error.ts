interface DatabaseError {
  code?: string;
  constraint?: string;
  severity?: string;
}

/** What the database said, also within one of TypeORM's errors. */
function databaseErrorOf(error: unknown): DatabaseError {
  const { driverError = error } = (error ?? {}) as { driverError?: unknown };
  return driverError ?? {};
}

/** Empty when the error is no answer of the database. */
export const sqlStateOf = (error: unknown): string => databaseErrorOf(error).code ?? '';

/** Whether the database itself has said it; else it may be about the way there. */
export const isAnswer = (error: unknown): boolean => databaseErrorOf(error).severity !== undefined;

/** The name of the constraint that refused a write, or null when the error is another. */
export function violatedConstraint(error: unknown): string | null {
  const { code, constraint } = databaseErrorOf(error);
  return code?.startsWith('23') && constraint ? constraint : null;
}
