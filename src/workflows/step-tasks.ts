import { newTask } from '../tasks/new-task.js';
import { DEFAULT_RETRY } from '../tasks/retry-policy.js';
import type { Task } from '../tasks/task.entity.js';
import { expressionsOf } from './check-definition.js';
import type { Concurrency, Step } from './definition.js';
import { bounded, Budget, evaluate, ExpressionFailed, isPlain, type Scope } from './expressions.js';
import { bare, fill, fillAsText } from './template.js';

const MAX_ITEMS = 10_000;
/** How long the expressions of a step, of a few of its items, and of all of them may take. */
const TIME_LIMIT_MS = { step: 250, items: 250, all_items: 5_000 };
const FEW_ITEMS = 100;
const MAX_TITLE = 500;
const MAX_KEY = 255;

/** What a task has from its run, whatever the step. */
export interface RunFields {
  project_id: string | null;
  workflow_id: string;
  run_id: string;
  allowed_agent_ids: string[] | null;
}

/** Whether the step is to be done at all. Throws ExpressionFailed. */
export function isWanted({ when }: Step, scope: Scope): boolean {
  if (when === undefined) return true;
  const answer = bounded(TIME_LIMIT_MS.step, () => evaluate(bare(when), scope));
  if (typeof answer !== 'boolean')
    throw new ExpressionFailed(`when must yield true or false, not ${typeName(answer)}: ${when}`);
  return answer;
}

/** The tasks of a step: one, or one for each item. Throws ExpressionFailed. */
export function tasksOf({ concurrency, ...own }: Step, scope: Scope, run: RunFields, common?: Concurrency): Task[] {
  const step = { ...own, concurrency: concurrency ?? common };
  const items = itemsOf(step, scope);
  if (!items) {
    const one = () => [taskOf(step, scope, run, new Budget())];
    return expressionsOf(step).every(isPlain) ? one() : bounded(TIME_LIMIT_MS.step, one);
  }
  const tasks: Task[] = [];
  let budget = new Budget();
  const deadline = performance.now() + TIME_LIMIT_MS.all_items;
  // In small portions: what an expression can hold in memory is limited by the time that it has.
  while (tasks.length < items.length) {
    const first = tasks.length;
    const few = items.slice(first, first + FEW_ITEMS);
    if (performance.now() > deadline) {
      throw new ExpressionFailed(`The expressions of all items took longer than ${TIME_LIMIT_MS.all_items} ms`);
    }
    const made = bounded(TIME_LIMIT_MS.items, () => {
      const left = budget.copy();
      const their = few.map((item, place) => taskOf(step, { ...scope, item, index: first + place }, run, left));
      return { tasks: their, left };
    });
    tasks.push(...made.tasks);
    budget = made.left;
  }
  // Those beyond the limit wait until others have ended.
  for (const task of tasks.slice(step.max_parallel ?? tasks.length)) task.is_held = true;
  return tasks;
}

function itemsOf({ for_each }: Step, scope: Scope): unknown[] | null {
  if (for_each === undefined) return null;
  const items = bounded(TIME_LIMIT_MS.step, () => evaluate(bare(for_each), scope));
  if (!Array.isArray(items))
    throw new ExpressionFailed(`for_each must yield a list, not ${typeName(items)}: ${for_each}`);
  if (items.length > MAX_ITEMS) {
    throw new ExpressionFailed(`for_each yields ${items.length} items; ${MAX_ITEMS} is the most: ${for_each}`);
  }
  return items;
}

function taskOf(step: Step, scope: Scope, run: RunFields, budget: Budget): Task {
  const { key, instructions = null } = step;
  const input = fill(step.input ?? {}, scope, budget);
  return newTask({
    ...run,
    step_key: key,
    item_index: scope.index ?? null,
    title: titleOf(step, scope, budget),
    instructions: instructions === null ? null : fillAsText(instructions, scope, budget),
    task_type: step.task_type ?? null,
    agent_type: step.agent_type ?? null,
    assigned_agent_id: step.agent_id ?? null,
    required_capabilities: step.required_capabilities ?? [],
    ...(step.priority && { priority: step.priority }),
    ...(step.max_attempts !== undefined && { max_attempts: step.max_attempts }),
    retry: { ...DEFAULT_RETRY, ...step.retry },
    timeout_seconds: step.timeout_seconds ?? null,
    ...slotOf(step, scope, run),
    // A task's input is an object: another value is its field `value`.
    input:
      typeof input === 'object' && input !== null && !Array.isArray(input)
        ? (input as Record<string, unknown>)
        : { value: input },
  });
}

/** Which slot the task needs, if any. Keys of different projects do not meet. */
function slotOf(
  { concurrency }: Step,
  scope: Scope,
  { project_id }: RunFields,
): Pick<Task, 'concurrency_key' | 'concurrency_limit'> {
  if (!concurrency) return { concurrency_key: null, concurrency_limit: null };
  const key = evaluate(bare(concurrency.key), scope);
  if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'boolean') {
    throw new ExpressionFailed(`A concurrency key must be text or a number, not ${typeName(key)}: ${concurrency.key}`);
  }
  const text = String(key);
  if (text.length > MAX_KEY) {
    throw new ExpressionFailed(`A concurrency key has at most ${MAX_KEY} characters: ${concurrency.key}`);
  }
  return { concurrency_key: `${project_id ?? ''}/${text}`, concurrency_limit: concurrency.limit };
}

function titleOf({ key, name = key }: Step, scope: Scope, budget: Budget): string {
  const number = scope.index === undefined || name.includes('${{') ? '' : ` #${scope.index + 1}`;
  // A cut may leave half of a surrogate pair.
  const title = fillAsText(name, scope, budget)
    .slice(0, MAX_TITLE - number.length)
    .toWellFormed();
  return (title.trim() === '' ? key : title) + number;
}

const typeName = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);
