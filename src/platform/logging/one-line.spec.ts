import { describe, expect, it } from 'vitest';
import { indented, oneLine } from './one-line.js';

describe('text in a log', () => {
  it.each([
    ['a line feed', 'a\nb', 'a\\u000ab'],
    ['a carriage return', 'a\r\nb', 'a\\u000d\\u000ab'],
    ['an escape sequence', 'a\u001b[2Kb', 'a\\u001b[2Kb'],
    ['the same in one character', 'a\u009b2Kb', 'a\\u009b2Kb'],
    ['a line separator', 'a\u2028b', 'a\\u2028b'],
    ['a backspace', 'a\bb', 'a\\u0008b'],
  ])('is one line although it holds %s', (_what, text, line) => {
    expect(oneLine(text)).toBe(line);
  });

  it('is otherwise left as it is', () => {
    expect(oneLine('Grüße an "Ada" \\n 日本 🚀')).toBe('Grüße an "Ada" \\n 日本 🚀');
  });

  it('of several lines begins but once where a line of the log does', () => {
    const stack = 'Error: it broke\n[Flightdeck] 1 - LOG forged\r\n\u001b[1Aforged\n    at work (file.ts:1:2)';

    expect(indented(stack).split('\n')).toEqual([
      'Error: it broke',
      '    [Flightdeck] 1 - LOG forged\\u000d',
      '    \\u001b[1Aforged',
      '    at work (file.ts:1:2)',
    ]);
  });
});
