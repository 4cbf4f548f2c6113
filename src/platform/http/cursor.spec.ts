import { describe, expect, it } from 'vitest';
import { InvalidInput } from '../errors/common.errors.js';
import { type Cursor, type CursorScope, decodeCursor, encodeCursor } from './cursor.js';

const SCOPE: CursorScope = { list: 'projects', sort_by: 'name', sort_order: 'asc' };
const CURSOR: Cursor = {
  ...SCOPE,
  value: 'Ärger "und" 🚀',
  id: '01890000-0000-7000-8000-000000000000',
  passed: 100,
};
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a cursor', () => {
  it('comes back as it was', () => {
    expect(decodeCursor(encodeCursor(CURSOR), SCOPE)).toEqual(CURSOR);
    expect(decodeCursor(encodeCursor({ ...CURSOR, value: null }), SCOPE).value).toBeNull();
  });

  it('needs no escaping in a URL', () => {
    expect(encodeCursor(CURSOR)).toMatch(/^[\w-]+$/);
  });

  it('is refused by a list in another order', () => {
    expect(() => decodeCursor(encodeCursor(CURSOR), { ...SCOPE, sort_by: 'created_at' })).toThrow('another order');
    expect(() => decodeCursor(encodeCursor(CURSOR), { ...SCOPE, sort_order: 'desc' })).toThrow('another order');
  });

  it('is refused by another list', () => {
    expect(() => decodeCursor(encodeCursor(CURSOR), { ...SCOPE, list: 'tasks' })).toThrow('this list');
  });

  it.each([
    ['no base64', '%%%'],
    ['no JSON', Buffer.from('name,asc').toString('base64url')],
    ['no list', encode({ sort_by: 'name' })],
    ['null', encode(null)],
    ['too few parts', encode(['projects', 'name', 'asc', 'x', CURSOR.id])],
    ['no list of its own', encode([null, 'name', 'asc', 'x', CURSOR.id, 0])],
    ['an id that is none', encode(['projects', 'name', 'asc', 'x', 'nonsense', 0])],
    ['a number for a value', encode(['projects', 'name', 'asc', 7, CURSOR.id, 0])],
    ['U+0000 in the value', encode(['projects', 'name', 'asc', 'a\0b', CURSOR.id, 0])],
    ['half a character in the value', encode(['projects', 'name', 'asc', '\ud800', CURSOR.id, 0])],
    ['an order that is none', encode(['projects', 'name', 'up', 'x', CURSOR.id, 0])],
    ['a negative count', encode(['projects', 'name', 'asc', 'x', CURSOR.id, -1])],
    ['a broken count', encode(['projects', 'name', 'asc', 'x', CURSOR.id, 0.5])],
  ])('is refused when it holds %s', (_what, text) => {
    expect(() => decodeCursor(text, SCOPE)).toThrow(InvalidInput);
  });
});
