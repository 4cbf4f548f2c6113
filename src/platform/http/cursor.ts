import { InvalidInput } from '../errors/common.errors.js';

/** What a cursor belongs to: the same value and id mean nothing elsewhere. */
export interface CursorScope {
  list: string;
  sort_by: string;
  sort_order: 'asc' | 'desc';
}

/** Where a page ended: the sort value of its last item (as PostgreSQL prints it) and its id, which breaks ties. */
export interface Cursor extends CursorScope {
  value: string | null;
  id: string;
  /** How many items came before, for those who count pages. */
  passed: number;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const encodeCursor = ({ list, sort_by, sort_order, value, id, passed }: Cursor): string =>
  Buffer.from(JSON.stringify([list, sort_by, sort_order, value, id, passed])).toString('base64url');

/** Throws InvalidInput when the text is no cursor, or one of another list or order. */
export function decodeCursor(text: string, { list, sort_by, sort_order }: CursorScope): Cursor {
  const cursor = parse(text);
  if (cursor?.list !== list) throw foreignCursor();
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
    if (!Array.isArray(parts) || parts.length !== 6) return null;
    const [list, sort_by, sort_order, value, id, passed] = parts as unknown[];
    const isCursor =
      typeof list === 'string' &&
      typeof sort_by === 'string' &&
      (sort_order === 'asc' || sort_order === 'desc') &&
      (value === null || (typeof value === 'string' && !value.includes('\0') && value.isWellFormed())) &&
      typeof id === 'string' &&
      UUID.test(id) &&
      Number.isSafeInteger(passed) &&
      (passed as number) >= 0;
    return isCursor ? { list, sort_by, sort_order, value, id, passed: passed as number } : null;
  } catch {
    return null;
  }
}
