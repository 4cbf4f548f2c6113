import { describe, expect, it } from 'vitest';
import { Budget, ExpressionFailed, type Scope } from './expressions.js';
import { bare, expressionsIn, fill, fillAsText, fillText } from './template.js';

const scope: Scope = { input: { n: 3, list: [1, 2], name: 'Ada' }, steps: {}, run: {}, workflow: {} };

describe('a string with expressions', () => {
  it.each([
    ['${{ input.n }}', 3],
    ['${{input.list}}', [1, 2]],
    ['  ${{ input.n }}\n', 3],
    ['${{ input.?missing }}', null],
    ['n = ${{ input.n }}', 'n = 3'],
    ['${{ input.n }}${{ input.n }}', '33'],
    ['${{ input.name }} has ${{ input.list }}', 'Ada has [1,2]'],
    ['${{ "}}" }}', '}}'],
    ["${{ 'it is }} here' }}", 'it is }} here'],
    ['${{ "a \\" }} quote" }}', 'a " }} quote'],
    ['${{ {"a": {"b": input.n}} }}', { a: { b: 3 } }],
    ['${{ {"a": {"b": 1}}}}', { a: { b: 1 } }],
    ['no expression', 'no expression'],
    ['{{ input.n }} $ {}', '{{ input.n }} $ {}'],
    ['', ''],
  ])('%s', (text, value) => {
    expect(fillText(text, scope)).toEqual(value);
  });

  it('can be text whatever the expression yields', () => {
    expect(fillAsText('${{ input.n }}', scope)).toBe('3');
    expect(fillAsText('${{ input.list }}', scope)).toBe('[1,2]');
  });

  it('is shown with its expressions', () => {
    expect(expressionsIn('a ${{ input.n }} b ${{ "}}" }}')).toEqual(['input.n', '"}}"']);
  });

  it.each(['${{ input.n', 'a ${{ "unfinished }}', '${{ {"a": 1 }}'])('is refused without an end: %s', (text) => {
    expect(() => expressionsIn(text)).toThrow(ExpressionFailed);
    expect(() => expressionsIn(text)).toThrow('has no end');
  });

  it.each([
    ['quotes', `\${{ ${'"a"'.repeat(50_000)}`],
    ['braces', '${{{ }} '.repeat(50_000)],
    ['beginnings', '${{"" }}'.repeat(50_000) + '${{'],
  ])('is read once, however many %s it has', (_what, text) => {
    const begin = performance.now();

    expect(() => expressionsIn(text)).toThrow('has no end');
    expect(performance.now() - begin).toBeLessThan(2_000);
  });
});

describe('a condition', () => {
  it('stands with or without braces', () => {
    expect(bare('input.n > 1')).toBe('input.n > 1');
    expect(bare(' ${{ input.n > 1 }} ')).toBe('input.n > 1');
    expect(bare('input.name == "${{"')).toBe('input.name == "${{"');
  });

  it('is one expression, not several', () => {
    expect(() => bare('${{ input.a }} && ${{ input.b }}')).toThrow('one expression is wanted');
  });
});

describe('a JSON value', () => {
  it('is filled in wherever it has strings, and otherwise stays as it is', () => {
    const value = {
      n: '${{ input.n }}',
      deep: [{ text: 'Hello ${{ input.name }}', list: ['${{ input.list }}'] }],
      '${{ key }}': 1.5,
      nothing: null,
      yes: true,
      length: 0,
      toString: 'text',
    };

    expect(fill(value, scope)).toEqual({
      n: 3,
      deep: [{ text: 'Hello Ada', list: [[1, 2]] }],
      '${{ key }}': 1.5,
      nothing: null,
      yes: true,
      length: 0,
      toString: 'text',
    });
    expect(JSON.stringify(fill({ z: 1, a: 2, '10': 3 }, scope))).toBe(JSON.stringify({ z: 1, a: 2, '10': 3 }));
  });

  it('is not larger than the budget', () => {
    const budget = new Budget();
    const large = { ...scope, input: 'x'.repeat(1_048_576) };

    expect(() =>
      fill(
        Array.from({ length: 70 }, () => 'a ${{ input }}'),
        large,
        budget,
      ),
    ).toThrow(ExpressionFailed);
  });
});
