import { describe, expect, it } from 'vitest';
import { InvalidInput } from '../errors/common.errors.js';
import { decodePosition, encodePosition, isAfter, START } from './position.js';

describe('a position', () => {
  it('comes back from its opaque form, however big', () => {
    for (const position of [START, { txid: '18446744073709551615', seq: '9223372036854775807' }]) {
      expect(decodePosition(encodePosition(position), '/since')).toEqual(position);
    }
  });

  it('is ordered by transaction, then by number, as numbers and not as text', () => {
    expect(isAfter({ txid: '10', seq: '1' }, { txid: '9', seq: '5' })).toBe(true);
    expect(isAfter({ txid: '9', seq: '10' }, { txid: '9', seq: '9' })).toBe(true);
    expect(isAfter({ txid: '9', seq: '9' }, { txid: '9', seq: '9' })).toBe(false);
    expect(isAfter({ txid: '9', seq: '9' }, { txid: '10', seq: '1' })).toBe(false);
  });

  it.each([
    ['nothing', ''],
    ['nonsense', 'nonsense'],
    ['half of one', Buffer.from('12').toString('base64url')],
    ['a negative one', Buffer.from('-1.2').toString('base64url')],
    ['too long a one', Buffer.from(`${'1'.repeat(21)}.1`).toString('base64url')],
    ['a transaction that the database cannot hold', Buffer.from('18446744073709551616.1').toString('base64url')],
    ['a number that the database cannot hold', Buffer.from('1.9223372036854775808').toString('base64url')],
  ])('is not read from %s', (_what, text) => {
    expect(() => decodePosition(text, '/since')).toThrow(InvalidInput);
  });
});
