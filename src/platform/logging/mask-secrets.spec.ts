import { describe, expect, it } from 'vitest';
import { maskSecrets } from './mask-secrets.js';

describe('a log line', () => {
  it.each([
    ['postgres://ada:secret@db:5432/flightdeck', 'postgres://ada:***@db:5432/flightdeck'],
    ['redis://:secret@cache', 'redis://:***@cache'],
    ['rediss://u:s%40e-c.ret@cache:6379/0', 'rediss://u:***@cache:6379/0'],
    ['postgresql://ada:se@cr:et@db/flightdeck', 'postgresql://ada:***@db/flightdeck'],
    [`fd_0123456789ab_${'c'.repeat(48)}.`, 'fd_0123456789ab_***.'],
    ['Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl', 'Bearer eyJhbGciOiJSUzI1NiJ9.***'],
    ['"a://b:secret@c" and "d://e:secret@f"', '"a://b:***@c" and "d://e:***@f"'],
  ])('does not show the secret in %s', (text, masked) => {
    expect(maskSecrets(text)).toBe(masked);
  });

  it.each(['http://localhost:8000/docs', 'GET /api/v1/tasks/:id 200 in 1.2 ms', 'ada@example.org at 12:30', 'a: b@c'])(
    'is otherwise left as it is: %s',
    (text) => {
      expect(maskSecrets(text)).toBe(text);
    },
  );
});
