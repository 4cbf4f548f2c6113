/** The name of the constraint that refused a write, or null when the error is another. */
export function violatedConstraint(error: unknown): string | null {
  const { driverError = error } = (error ?? {}) as { driverError?: unknown };
  const { code, constraint } = (driverError ?? {}) as { code?: string; constraint?: string };
  return code?.startsWith('23') && constraint ? constraint : null;
}
