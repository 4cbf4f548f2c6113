import { describe, expect, it } from 'vitest';
import { comparePositions, Cursor } from './position.js';

const at = (text: string) => Buffer.from(text).toString('base64url');

describe('a cursor', () => {
  const event = (position: string, type = 'task_created') => ({ position, type });

  it('goes on before the newest position, whose messages may not all have come', () => {
    const cursor = new Cursor('a');
    for (const position of ['b', 'c']) cursor.isNew(event(position));

    expect(cursor.position).toBe('c');
    expect(cursor.since).toBe('b');
  });

  it('knows the messages of the newest position that have come', () => {
    const cursor = new Cursor('a');
    cursor.isNew(event('b', 'task_completed'));

    expect(cursor.isNew(event('b', 'task_completed'))).toBe(false);
    expect(cursor.isNew(event('b', 'task_status_updated'))).toBe(true);
    expect(cursor.isNew(event('c', 'task_completed'))).toBe(true);
  });

  it('that began with nothing goes on from its beginning, also before its first event', () => {
    const [cursor, early] = [new Cursor(), new Cursor()];
    cursor.beginAt('a');
    early.isNew(event('b'));
    early.beginAt('a');

    expect(cursor.since).toBe('a');
    expect(early.since).toBe('a');
  });
});

describe('positions', () => {
  it('are ordered by transaction, then by number, as numbers', () => {
    const ordered = ['9.100', '10.9', '10.10', '18446744073709551615.1'].map(at);

    expect(ordered.toReversed().sort(comparePositions)).toEqual(ordered);
  });

  it('of another kind stay as they came', () => {
    const came = ['b', at('2.1'), 'a'];

    expect(came.toSorted(comparePositions)).toEqual(came);
  });
});
