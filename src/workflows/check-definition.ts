import type { FieldError } from '../platform/errors/domain-error.js';
import { ancestors, findCycle, type Graph, levels } from '../platform/graph/graph.js';
import { type Definition, graphOf, type Step } from './definition.js';
import { ExpressionFailed, stepsIn, uses } from './expressions.js';
import { bare, expressionsIn } from './template.js';

/** All that is wrong with a definition's steps, each with its pointer below `at`. */
export function checkDefinition(definition: Definition, at: string): FieldError[] {
  const errors = [...checkKeys(definition, at), ...checkDependencies(definition, at)];
  // The order is needed to know which steps an expression may speak of.
  if (errors.length > 0) return errors;
  const graph = graphOf(definition);
  return [
    ...definition.steps.flatMap((step, index) => checkExpressions({ graph, step, at: `${at}/${index}` })),
    ...checkConcurrency(definition, at.replace(/steps$/, 'concurrency/key')),
  ];
}

/** It stands for all steps: what only some of them know it cannot use. */
function checkConcurrency({ concurrency }: Definition, pointer: string): FieldError[] {
  if (!concurrency) return [];
  const expression = bare(concurrency.key);
  try {
    const strays = ['item', 'index', 'steps'].filter((name) =>
      name === 'steps' ? [...stepsIn(expression)].length > 0 : uses(expression, name),
    );
    return strays.map((name) => ({ pointer, detail: `${name} is not known here, only input, run and workflow` }));
  } catch (error) {
    if (error instanceof ExpressionFailed) return [{ pointer, detail: error.message }];
    throw error;
  }
}

/** Keys in groups that may run together, in order. The definition must be sound. */
export const orderOf = (definition: Definition): string[][] => levels(graphOf(definition));

function checkKeys({ steps }: Definition, at: string): FieldError[] {
  return steps.flatMap(({ key }, index) =>
    steps.findIndex((other) => other.key === key) < index
      ? [{ pointer: `${at}/${index}/key`, detail: `another step has the key ${key} already` }]
      : [],
  );
}

function checkDependencies(definition: Definition, at: string): FieldError[] {
  const graph = graphOf(definition);
  const unknown = definition.steps.flatMap(({ depends_on = [] }, index) =>
    depends_on.flatMap((key, place) =>
      graph.has(key) ? [] : [{ pointer: `${at}/${index}/depends_on/${place}`, detail: `there is no step ${key}` }],
    ),
  );
  if (unknown.length > 0) return unknown;
  const cycle = findCycle(graph);
  if (!cycle) return [];
  const index = definition.steps.findIndex(({ key }) => key === cycle[0]);
  return [{ pointer: `${at}/${index}/depends_on`, detail: `the steps wait for each other: ${cycle.join(' -> ')}` }];
}

function checkExpressions({ graph, step, at }: { graph: Graph; step: Step; at: string }): FieldError[] {
  const before = ancestors(graph, step.key);
  const check = (expression: string, mayUseItem: boolean): string[] => {
    const wrong = [...stepsIn(expression)].flatMap((key) => {
      if (key === null) return ['name a step: steps.<key>'];
      if (before.has(key)) return [];
      return [graph.has(key) ? `step ${key} does not come before ${step.key}` : `there is no step ${key}`];
    });
    const strays = mayUseItem ? [] : ['item', 'index'].filter((name) => uses(expression, name));
    return [...wrong, ...strays.map((name) => `${name} is known only in the tasks of a step with for_each`)].map(
      (detail) => `${detail} (in: ${expression})`,
    );
  };
  return textsOf(step).flatMap(({ text, pointer, is_expression, is_of_step = false }) => {
    try {
      const expressions = is_expression ? [bare(text)] : expressionsIn(text);
      const mayUseItem = !is_of_step && step.for_each !== undefined;
      const details = expressions.flatMap((expression) => check(expression, mayUseItem));
      return details.map((detail) => ({ pointer: at + pointer, detail }));
    } catch (error) {
      if (error instanceof ExpressionFailed) return [{ pointer: at + pointer, detail: error.message }];
      throw error;
    }
  });
}

/** The steps whose results a step's expressions use. */
export function referencedSteps(step: Step): string[] {
  const keys = expressionsOf(step).flatMap((expression) => [...stepsIn(expression)]);
  return [...new Set(keys)].filter((key) => key !== null);
}

/** All expressions of a step, without braces. */
export const expressionsOf = (step: Step): string[] =>
  textsOf(step).flatMap(({ text, is_expression }) => (is_expression ? [bare(text)] : expressionsIn(text)));

interface StepText {
  text: string;
  pointer: string;
  /** It is an expression, with or without braces; otherwise it may hold some. */
  is_expression: boolean;
  /** It is evaluated once, not for each task. */
  is_of_step?: boolean;
}

/** Where a step may have expressions. */
function textsOf({ when, for_each, concurrency, name, instructions, input }: Step): StepText[] {
  return [
    ...Object.entries({ when, for_each }).flatMap(([key, text]) =>
      text === undefined ? [] : [{ text, pointer: `/${key}`, is_expression: true, is_of_step: true }],
    ),
    ...(concurrency ? [{ text: concurrency.key, pointer: '/concurrency/key', is_expression: true }] : []),
    ...textsIn({ name, instructions, input }, ''),
  ];
}

function textsIn(value: unknown, pointer: string): StepText[] {
  if (typeof value === 'string') return [{ text: value, pointer, is_expression: false }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    textsIn(child, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  );
}
