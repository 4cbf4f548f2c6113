const RFC_3339 = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i;

/**
 * The instant that a date-time of RFC 3339 names; null for all else. `new Date()` alone reads "hello 7", takes a time
 * without offset as one of the server's zone, and makes the 2nd of March of the 30th of February.
 */
export function readInstant(text: string): Date | null {
  const day = RFC_3339.exec(text)?.[1];
  if (day === undefined || !new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day)) return null;
  return new Date(text.toUpperCase());
}
