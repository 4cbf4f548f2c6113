import { describe, expect, it } from 'vitest';
import { MOST_VALUE_BYTES, safeText, safeValue } from './without-secrets.js';

const SECRET = { $cut: 'secret' };

describe('a value in a record', () => {
  it.each([
    'password',
    'db_password',
    'apiKey',
    'API-KEY',
    'client_secret',
    'lease_token',
    'Authorization',
    'cookie',
    'pwd',
    'db_pw',
  ])('is cut out when it is called %s, wherever it stands', (name) => {
    expect(safeValue(name, 'hunter2')).toEqual(SECRET);
    expect(safeValue('metadata', { deep: [{ [name]: 'hunter2', more: 1 }] })).toEqual({
      deep: [{ [name]: SECRET, more: 1 }],
    });
  });

  it.each(['tokens', 'max_tokens', 'total_tokens', 'prompt_tokens', 'title'])(
    'is shown when it is called %s',
    (name) => {
      expect(safeValue(name, 500)).toBe(500);
    },
  );

  it('is shown when there is none', () => {
    expect(safeValue('password', null)).toBeNull();
    expect(safeValue('password', undefined)).toBeNull();
    expect(safeValue('metadata', { password: null, api_key: '' })).toEqual({ password: null, api_key: '' });
  });

  it.each([
    ['one of our keys', 'use fd_a1b2c3_Zm9vYmFyYmF6cXV4cXV1eA now', 'use *** now'],
    ['a JWT', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl', '***'],
    ['a header', 'Authorization: Bearer abcdefghijkl', 'Authorization: Bearer ***'],
    ['an address', 'postgres://ada:hunter2@db/flightdeck', 'postgres://ada:***@db/flightdeck'],
  ])('is masked where it holds %s', (_what, text, masked) => {
    expect(safeValue('description', text)).toBe(masked);
    expect(safeValue('metadata', { [`x ${text}`.replace('Authorization', '')]: [text] })).toEqual({
      [`x ${masked}`.replace('Authorization', '')]: [masked],
    });
    expect(safeText(text, 200)).toBe(masked);
  });

  it('is cut out when it is large, with its size in bytes', () => {
    const fits = 'x'.repeat(MOST_VALUE_BYTES - 2);

    expect(safeValue('description', fits)).toBe(fits);
    expect(safeValue('description', `${fits}x`)).toEqual({ $cut: 'size', bytes: MOST_VALUE_BYTES + 1 });
    expect(safeValue('description', 'ü'.repeat(MOST_VALUE_BYTES / 2))).toEqual({
      $cut: 'size',
      bytes: MOST_VALUE_BYTES + 2,
    });
  });

  it('is plain data, whatever its keys are called', () => {
    const value = safeValue('metadata', JSON.parse('{"toString": 1, "constructor": {"prototype": 2}}'));

    expect(JSON.stringify(value)).toBe('{"toString":1,"constructor":{"prototype":2}}');
  });
});

describe('a text in a record', () => {
  it('is one line, of at most so many characters', () => {
    expect(safeText('/a\r\n\u001b[2Kb', 100)).toBe('/a\\u000d\\u000a\\u001b[2Kb');
    expect(safeText('x'.repeat(1_000), 10)).toBe(`${'x'.repeat(10)}…`);
    expect(safeText('half \ud800', 100)).toBe('half \ufffd');
  });
});
