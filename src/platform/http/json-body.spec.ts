import { describe, expect, it } from 'vitest';
import { InvalidInput, MalformedRequest } from '../errors/common.errors.js';
import { isText, parseBody } from './json-body.js';

const nested = (levels: number): string => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;

function errorsOf(text: string): unknown {
  try {
    parseBody(text);
    return null;
  } catch (error) {
    return (error as InvalidInput).errors;
  }
}

describe('a JSON body', () => {
  it('is read as it is', () => {
    const text = '{"z":1,"a":[true,null,-0.5,1e3],"":"","ü":"🚀","toString":{"valueOf":2}}';

    expect(JSON.stringify(parseBody(text))).toBe(text.replace('1e3', '1000'));
  });

  it.each(['', '  \n'])('may be empty: %j', (text) => {
    expect(parseBody(text)).toBeUndefined();
  });

  it.each(['{', '{"a":1,}', "{'a':1}", '{"a":NaN}', '{"a":"\u0001"}', '{} {}'])(
    'is refused when it is broken: %s',
    (text) => {
      expect(() => parseBody(text)).toThrow(MalformedRequest);
    },
  );

  it('may be 32 levels deep, and no deeper', () => {
    expect(() => parseBody(nested(32))).not.toThrow();
    expect(() => parseBody(nested(33))).toThrow('nested deeper than 32 levels');
    expect(() => parseBody(`${'['.repeat(33)}${']'.repeat(33)}`)).toThrow('nested deeper than 32 levels');
  });

  it('costs little to refuse, however deep it is', () => {
    const begin = performance.now();

    expect(() => parseBody(nested(150_000))).toThrow(InvalidInput);
    expect(performance.now() - begin).toBeLessThan(1000);
  });

  it.each([
    '{"__proto__":{}}',
    '{"constructor":1}',
    '{"a":[{"b":{"__proto__":null}}]}',
    '{"\\u005f_proto__":{}}',
    '{"construct\\u006Fr":{}}',
  ])('has no keys that pollute prototypes: %s', (text) => {
    expect(() => parseBody(text)).toThrow(MalformedRequest);
  });

  it('may say those words elsewhere', () => {
    const text = '{"a":"__proto__","b":["constructor"],"prototype":1,"__proto":2}';

    expect(JSON.stringify(parseBody(text))).toBe(text);
  });

  it.each([
    ['{"a":{"b":["x","\\u0000"]}}', '/a/b/1'],
    ['{"a":"\\ud83d"}', '/a'],
    ['{"a":"\\uDE00\\uD83D"}', '/a'],
    ['{"a/b":{"c~d":"\\u0000"}}', '/a~1b/c~0d'],
    ['"\\u0000"', ''],
    ['{"a":{"\\u0000":1}}', '/a'],
    ['{"\\ud800":1}', ''],
  ])('holds only text that is text: %s', (text, pointer) => {
    expect(errorsOf(text)).toMatchObject([{ pointer }]);
  });

  it('may escape whole characters', () => {
    expect(parseBody('{"a":"\\ud83d\\ude00\\u0001\\\\u0000"}')).toEqual({ a: '😀\u0001\\u0000' });
  });

  it('names only the first of very many mistakes', () => {
    expect(errorsOf(`[${Array(1000).fill('"\\u0000"').join()}]`)).toHaveLength(20);
  });

  it.each(['{"id":12345678901234567890}', '[-9007199254740993]', '[1e400]', '[-1E+999]'])(
    'is refused rather than changed: %s',
    (text) => {
      expect(() => parseBody(text)).toThrow('send it as text');
    },
  );
});

describe('text', () => {
  it('has no U+0000 and no half characters', () => {
    expect(['a', '', '😀', '\u0001'].every(isText)).toBe(true);
    expect(['\0', '\ud800', 'a\udc00b'].some(isText)).toBe(false);
  });
});
