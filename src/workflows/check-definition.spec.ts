import { describe, expect, it } from 'vitest';
import { checkDefinition, orderOf, referencedSteps } from './check-definition.js';
import type { Step } from './definition.js';

const check = (...steps: Step[]) => checkDefinition({ steps }, '/steps');

describe('a definition', () => {
  it('is sound when its steps follow each other and know what they speak of', () => {
    const steps: Step[] = [
      { key: 'list', input: { query: '${{ input.query }}' } },
      {
        key: 'each',
        depends_on: ['list'],
        for_each: 'steps.list.output',
        name: 'Do ${{ item.name }}',
        instructions: 'Number ${{ index + 1 }} of run ${{ run.id }}',
        input: { item: '${{ item }}' },
      },
      {
        key: 'sum',
        depends_on: ['each'],
        when: '${{ size(steps.each.output) > 0 }}',
        input: ['${{ steps.list.status }}'],
      },
    ];

    expect(checkDefinition({ steps }, '/steps')).toEqual([]);
    expect(orderOf({ steps })).toEqual([['list'], ['each'], ['sum']]);
    expect(steps.map(referencedSteps)).toEqual([[], ['list'], ['each', 'list']]);
  });

  it('may be empty', () => {
    expect(check()).toEqual([]);
    expect(orderOf({ steps: [] })).toEqual([]);
  });

  it('has no key twice', () => {
    expect(check({ key: 'a' }, { key: 'b' }, { key: 'a' })).toEqual([
      { pointer: '/steps/2/key', detail: 'another step has the key a already' },
    ]);
  });

  it('depends on steps that it has', () => {
    expect(check({ key: 'a', depends_on: ['b', 'nobody'] }, { key: 'b' })).toEqual([
      { pointer: '/steps/0/depends_on/1', detail: 'there is no step nobody' },
    ]);
  });

  it.each([
    ['itself', [{ key: 'a', depends_on: ['a'] }], '/steps/0/depends_on', 'a -> a'],
    [
      'each other',
      [
        { key: 'x' },
        { key: 'a', depends_on: ['x', 'c'] },
        { key: 'b', depends_on: ['a'] },
        { key: 'c', depends_on: ['b'] },
      ],
      '/steps/1/depends_on',
      'a -> c -> b -> a',
    ],
  ])('has no steps that wait for %s', (_what, steps, pointer, way) => {
    expect(check(...(steps as Step[]))).toEqual([{ pointer, detail: `the steps wait for each other: ${way}` }]);
  });

  it.each<[string, Partial<Step>, string, string]>([
    ['a syntax error', { when: 'input.n +' }, '/when', 'Unexpected'],
    ['a syntax error in a text', { name: 'Hi ${{ ) }}' }, '/name', 'Unexpected'],
    ['an expression without an end', { instructions: '${{ input.n' }, '/instructions', 'has no end'],
    ['an unknown variable', { for_each: 'items' }, '/for_each', 'Unknown variable: items'],
    ['an unknown step', { input: { a: ['x', '${{ steps.nobody.output }}'] } }, '/input/a/1', 'there is no step nobody'],
    [
      'a step that does not come before',
      { when: 'steps.beside.output' },
      '/when',
      'step beside does not come before a',
    ],
    ['itself', { input: '${{ steps.a.output }}' }, '/input', 'step a does not come before a'],
    ['steps without a name', { input: '${{ steps }}' }, '/input', 'name a step'],
    ['an item without for_each', { input: '${{ item }}' }, '/input', 'item is known only'],
    ['an index without for_each', { name: 'No ${{ index }}' }, '/name', 'index is known only'],
    ['an item in its own list', { for_each: 'item.list' }, '/for_each', 'item is known only'],
    ['an item in its condition', { for_each: 'input.list', when: 'item > 1' }, '/when', 'item is known only'],
    ['a key with a slash', { input: { 'a/b~c': '${{ x }}' } }, '/input/a~1b~0c', 'Unknown variable: x'],
    ['two conditions in one', { when: '${{ true }} && ${{ true }}' }, '/when', 'one expression is wanted'],
  ])('names the place of %s', (_what, fields, pointer, detail) => {
    const errors = check({ key: 'before' }, { key: 'beside' }, { key: 'a', depends_on: ['before'], ...fields });

    expect(errors).toEqual([{ pointer: `/steps/2${pointer}`, detail: expect.stringContaining(detail) }]);
  });

  it('names all that is wrong', () => {
    const errors = check(
      { key: 'a', when: '+', input: { x: '${{ y }}', z: '${{ item }} ${{ steps.b.output }}' } },
      { key: 'b' },
    );

    expect(errors.map(({ pointer }) => pointer)).toEqual([
      '/steps/0/when',
      '/steps/0/input/x',
      '/steps/0/input/z',
      '/steps/0/input/z',
    ]);
  });

  it('is checked quickly, however many edges and expressions it has', () => {
    const keys = Array.from({ length: 500 }, (_, index) => `step_${index}`);
    const steps = keys.map((key, index) => ({
      key,
      depends_on: keys.slice(0, index),
      input: index === 0 ? null : `\${{ steps.step_${index - 1}.output }}`,
    }));
    const begin = performance.now();

    expect(check(...steps)).toEqual([]);
    expect(performance.now() - begin).toBeLessThan(5_000);
  });
});
