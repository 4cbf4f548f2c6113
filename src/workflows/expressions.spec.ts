import { describe, expect, it } from 'vitest';
import {
  bounded,
  Budget,
  evaluate,
  ExpressionFailed,
  parseExpression,
  type Scope,
  stepsIn,
  uses,
} from './expressions.js';

const scope: Scope = {
  input: {
    n: 3,
    zero: 0,
    list: [1, 2, 3],
    objects: [{ id: 'a' }, { id: 'b' }],
    text: 'héllo',
    time: '2026-01-02T03:04:05Z',
    deep: { er: { est: true } },
  },
  steps: { fetch: { status: 'completed', output: { rows: [1, 2] } } },
  run: { id: 'run-1', run_number: 7 },
  workflow: { name: 'Nightly' },
  item: { id: 'x' },
  index: 2,
};

describe('an expression', () => {
  it.each([
    ['input.n', 3],
    ['input.n + 1', 4],
    ['1 + input.n', 4],
    ['input.n * 2.5', 7.5],
    ['input.n * 2', 6],
    ['input.n - 1', 2],
    ['input.n / 2', 1.5],
    ['input.n % 2', 1],
    ['-input.n', -3],
    ['index', 2],
    ['index + 1', 3],
    ['index * 2.5', 5],
    ['size(input.list) / 2', 1],
    ['input.list[index]', 3],
    ['input.list[input.n - 1]', 3],
    ['input.n > 2 && input.n <= 3', true],
    ['input.n == 3 ? "three" : "other"', 'three'],
    ['3 in input.list', true],
    ['"n is " + string(input.n)', 'n is 3'],
    ['input.text.size()', 5],
    ['input.deep.er.est', true],
    ['input.list.filter(x, x > 1)', [2, 3]],
    ['input.list.map(x, x * 2)', [2, 4, 6]],
    ['input.objects.map(o, o.id)', ['a', 'b']],
    ['input.objects.map(item, item.id)', ['a', 'b']],
    ['input.list.exists(x, x == 2)', true],
    ['input.list.all(x, x > 2)', false],
    ['{"id": item.id, "rows": steps.fetch.output.rows}', { id: 'x', rows: [1, 2] }],
    ['steps.fetch.status == "completed"', true],
    ['run.run_number', 7],
    ['workflow.name', 'Nightly'],
    ['[1, "two", null, true]', [1, 'two', null, true]],
    ['null', null],
  ])('%s', (text, value) => {
    expect(evaluate(text, scope)).toEqual(value);
  });

  it.each([
    ['a whole number', '1 + 1', 2],
    ['one that JSON cannot hold exactly', '9007199254740993', '9007199254740993'],
    ['an unsigned number', 'uint(3)', 3],
    ['a time', 'timestamp(input.time)', '2026-01-02T03:04:05.000Z'],
    ['a duration', 'duration("90s")', '90s'],
    ['bytes', 'b"abc"', 'YWJj'],
    ['numbers in a list in a map', '{"a": [1, 2u]}', { a: [1, 2] }],
    ['keys that are numbers', '{1: 2}', { 1: 2 }],
    ['something optional that is there', 'input.?n', 3],
    ['something optional that is not', 'input.?missing', null],
    ['something optional in a list', '[optional.of(1), optional.none()]', [1, null]],
  ])('yields JSON from %s', (_what, text, value) => {
    expect(evaluate(text, scope)).toEqual(value);
  });

  it('asks whether a key is there', () => {
    expect(evaluate('has(input.n)', scope)).toBe(true);
    expect(evaluate('has(input.missing)', scope)).toBe(false);
    expect(evaluate('input.?missing.orValue(3)', scope)).toBe(3);
    expect(evaluate('input.?deep.?missing.?more.orValue("none")', scope)).toBe('none');
  });

  it.each([
    ['a missing key', 'input.missing', 'No such key: missing'],
    ['an index beyond the list', 'input.list[9]', 'index out of bounds'],
    ['a division by zero', '1 / 0', 'division by zero'],
    ['a division by zero that JSON calls 0', 'input.n / input.zero', 'not a finite number'],
    ['nothing divided by nothing', 'input.zero / input.zero', 'not a finite number'],
    ['text plus a number', '"n" + input.n', 'no such overload'],
    ['a condition that is none', 'input.n && true', 'bool'],
    ['text that the database cannot store', '"\\u0000"', 'U+0000'],
    ['a key that the database cannot store', '{"\\u0000": 1}', 'U+0000'],
  ])('fails over %s, and says which', (_what, text, reason) => {
    expect(() => evaluate(text, scope)).toThrow(ExpressionFailed);
    expect(() => evaluate(text, scope)).toThrow(reason);
    expect(() => evaluate(text, scope)).toThrow(`in: ${text}`);
  });

  it.each(['__proto__', 'constructor', 'toString', 'valueOf'])('sees nothing of JavaScript: %s', (name) => {
    expect(() => evaluate(`input.${name}`, scope)).toThrow(`No such key: ${name}`);
    expect(() => evaluate(`input["${name}"]`, scope)).toThrow(`No such key: ${name}`);
    expect(() => evaluate(`input.list.${name}`, scope)).toThrow(ExpressionFailed);
    expect(() => evaluate(`input.text.${name}`, scope)).toThrow(ExpressionFailed);
    expect(evaluate(`has(input.${name})`, scope)).toBe(false);
  });

  it('cannot reach a prototype by a key that it makes itself', () => {
    evaluate('{"__proto__": {"polluted": true}}', scope);

    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each([
    ['that is not finished', 'input.n +', 'Unexpected'],
    ['of an unknown variable', 'secret', 'Unknown variable: secret'],
    ['of an unknown function', 'now()', 'now'],
    ['with a statement', 'x = 1', 'in: x = 1'],
    ['that is empty', '', 'in:'],
    ['that is too long', `"${'x'.repeat(10_000)}"`, 'longer than 10000 characters'],
    ['that is too deep', '('.repeat(100) + '1' + ')'.repeat(100), 'maxDepth'],
    ['of too many parts', `1${' + 1'.repeat(1500)}`, 'maxAstNodes'],
  ])('is refused %s', (_what, text, reason) => {
    expect(() => parseExpression(text)).toThrow(ExpressionFailed);
    expect(() => parseExpression(text)).toThrow(reason);
  });
});

describe('the bounds of expressions', () => {
  const big = { ...scope, input: { list: Array.from({ length: 3000 }, (_, index) => index), text: 'a'.repeat(40) } };

  it.each([
    ['loops in loops', 'input.list.all(x, input.list.all(y, input.list.all(z, x + y + z >= 0)))'],
    ['lists of lists', 'input.list.map(x, input.list.map(y, input.list))'],
    ['a regular expression that explodes', '(input.text + "!").matches("^(a+)+$")'],
    ['lists that double', `cel.bind(a, input.list, ${doubling(20)})`],
  ])('stop %s in time', (_what, text) => {
    const begin = performance.now();

    expect(() => bounded(50, () => evaluate(text, big))).toThrow('The expressions took longer than 50 ms');
    expect(performance.now() - begin).toBeLessThan(2_000);
  });

  it('leave the next expression alone', () => {
    expect(() => bounded(20, () => evaluate('input.list.all(x, input.list.all(y, true))', big))).toThrow(
      ExpressionFailed,
    );

    expect(bounded(250, () => evaluate('input.list.filter(x, x < 2)', big))).toEqual([0, 1]);
  });

  it('pass on what else goes wrong', () => {
    expect(() => bounded(250, () => evaluate('input.missing', big))).toThrow('No such key');
    expect(() =>
      bounded(250, () => {
        throw new RangeError('something else');
      }),
    ).toThrow(RangeError);
  });

  it('are of size, too, over all that is evaluated together', () => {
    const budget = new Budget();
    const large = { ...scope, input: 'x'.repeat(30 * 1_048_576) };

    evaluate('input', large, budget);
    evaluate('input', large, budget);

    expect(() => evaluate('input', large, budget)).toThrow('more than 67108864 characters');
  });
});

/** bind(b, a + a, bind(c, b + b, ...)) */
function doubling(times: number): string {
  let text = `size(v${times})`;
  for (let n = times; n > 0; n--) text = `cel.bind(v${n}, v${n - 1} + v${n - 1}, ${text})`;
  return `cel.bind(v0, a, ${text})`;
}

describe('what an expression speaks of', () => {
  it.each([
    ['steps.a.output', ['a']],
    ['steps["a"].output + steps.b.output', ['a', 'b']],
    ['steps.?a.?output.orValue(steps[?"b"])', ['a', 'b']],
    ['input.list.map(x, steps.a.output[x])', ['a']],
    ['steps', [null]],
    ['steps[input.key]', [null]],
    ['steps[steps.a.output]', [null, 'a']],
    ['input.steps.a', []],
    ['input.list.map(steps, steps.a)', []],
  ])('steps in %s', (text, keys) => {
    expect(stepsIn(text)).toEqual(new Set(keys));
  });

  it.each([
    ['item.id', true],
    ['input.list.map(x, x + item)', true],
    ['item.list.map(item, item.id)', true],
    ['input.item', false],
    ['input.list.map(item, item.id)', false],
    ['cel.bind(item, 1, item + 1)', false],
    ['"item"', false],
  ])('item in %s: %s', (text, isUsed) => {
    expect(uses(text, 'item')).toBe(isUsed);
  });
});
