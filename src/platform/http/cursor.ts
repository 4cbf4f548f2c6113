import { InvalidInput } from '../errors/common.errors.js';

/** Where a page ended: the sort value of its last item (as PostgreSQL prints it) and its id, which breaks ties. */
export interface Cursor {
  sort_by: string;
  sort_order: 'asc' | 'desc';
  value: string | null;
  id: string;
  /** How many items came before, for those who count pages. */
  passed: number;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const encodeCursor = ({ sort_by, sort_order, value, id, passed }: Cursor): string =>
  Buffer.from(JSON.stringify([sort_by, sort_order, value, id, passed])).toString('base64url');

/** Throws InvalidInput when the text is no cursor, or one of a list in another order. */
export function decodeCursor(text: string, sort_by: string, sort_order: 'asc' | 'desc'): Cursor {
  const cursor = parse(text);
  if (!cursor) throw foreignCursor();
  if (cursor.sort_by !== sort_by || cursor.sort_order !== sort_order) {
    throw new InvalidInput([{ pointer: 'cursor', detail: 'belongs to a list in another order' }]);
  }
  return cursor;
}

export const foreignCursor = (): InvalidInput =>
  new InvalidInput([{ pointer: 'cursor', detail: 'is not a cursor that this list gave' }]);

function parse(text: string): Cursor | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (!Array.isArray(parts) || parts.length !== 5) return null;
    const [sort_by, sort_order, value, id, passed] = parts as unknown[];
    const isCursor =
      typeof sort_by === 'string' &&
      (sort_order === 'asc' || sort_order === 'desc') &&
      (value === null || (typeof value === 'string' && !value.includes('\0') && value.isWellFormed())) &&
      typeof id === 'string' &&
      UUID.test(id) &&
      Number.isSafeInteger(passed) &&
      (passed as number) >= 0;
    return isCursor ? { sort_by, sort_order, value, id, passed: passed as number } : null;
  } catch {
    return null;
  }
}
