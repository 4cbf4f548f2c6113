import { type ASTNode, Environment, Optional } from '@marcbachmann/cel-js';
import { createContext, Script } from 'node:vm';
import { isText } from '../platform/http/json-body.js';

/** What an expression may speak of. */
export interface Scope {
  input: unknown;
  steps: Record<string, { output: unknown; status: string }>;
  run: Record<string, unknown>;
  workflow: Record<string, unknown>;
  item?: unknown;
  index?: number;
}

/** An expression that cannot be read or does not yield a value; the message says which and why. */
export class ExpressionFailed extends Error {}

const MAX_LENGTH = 10_000;
const MAX_YIELD = 64 * 1_048_576;

/** How much JSON expressions may still yield together, in characters. */
export class Budget {
  constructor(private left = MAX_YIELD) {}

  copy(): Budget {
    return new Budget(this.left);
  }

  spend(size: number): void {
    this.left -= size;
    if (this.left < 0) throw new ExpressionFailed(`The expressions yield more than ${MAX_YIELD} characters together`);
  }
}

const number = (value: unknown): number => Number(value);
const environment = new Environment({
  homogeneousAggregateLiterals: false,
  enableOptionalTypes: true,
  limits: { maxAstNodes: 2000, maxDepth: 60, maxListElements: 1000, maxMapEntries: 1000, maxCallArguments: 32 },
})
  .registerVariable('input', 'dyn')
  .registerVariable('steps', 'dyn')
  .registerVariable('item', 'dyn')
  .registerVariable('index', 'int')
  .registerVariable('run', 'dyn')
  .registerVariable('workflow', 'dyn');
// Numbers of JSON are doubles to CEL, literals like 1 are ints: without these `input.count + 1` has no meaning.
for (const [operator, apply] of Object.entries({
  '+': (a: unknown, b: unknown) => number(a) + number(b),
  '-': (a: unknown, b: unknown) => number(a) - number(b),
  '*': (a: unknown, b: unknown) => number(a) * number(b),
  '/': (a: unknown, b: unknown) => number(a) / number(b),
  '%': (a: unknown, b: unknown) => number(a) % number(b),
})) {
  environment.registerOperator(`double ${operator} int`, apply);
  environment.registerOperator(`int ${operator} double`, apply);
}
environment.registerOperator('double % double', (a: unknown, b: unknown) => number(a) % number(b));

type Parsed = ReturnType<Environment['parse']>;
const parsed = new Map<string, Parsed>();
const PARSED_LIMIT = 1000;

/** Throws ExpressionFailed when the text is not an expression or names something unknown. */
export function parseExpression(text: string): Parsed {
  const known = parsed.get(text);
  if (known) return known;
  if (text.length > MAX_LENGTH) throw new ExpressionFailed(`An expression is longer than ${MAX_LENGTH} characters`);
  try {
    const expression = environment.parse(text);
    const { valid, error } = expression.check();
    if (!valid) throw error ?? new Error('it has no type');
    if (parsed.size >= PARSED_LIMIT) parsed.clear();
    parsed.set(text, expression);
    return expression;
  } catch (error) {
    throw new ExpressionFailed(`${firstLine(error)} in: ${text}`);
  }
}

/** Throws ExpressionFailed. For bounds of time see {@link bounded}. */
export function evaluate(text: string, scope: Scope, budget = new Budget()): unknown {
  const expression = parseExpression(text);
  const { index, ...rest } = scope;
  try {
    return toJson(expression({ ...rest, ...(index !== undefined && { index: BigInt(index) }) }), budget);
  } catch (error) {
    throw new ExpressionFailed(`${firstLine(error)} in: ${text}`);
  }
}

const TIMEOUT = 'ERR_SCRIPT_EXECUTION_TIMEOUT';
const TRIES = 4;
const sandbox = createContext(Object.create(null) as object);
const WORK = new Script('work()');

/**
 * Evaluates expressions for at most so long. They change nothing, so when the time ran out because the machine was busy
 * with something else, they are evaluated again.
 */
export function bounded<T>(limit_ms: number, work: () => T): T {
  for (let tries = TRIES; ; tries--) {
    const before = process.cpuUsage();
    try {
      return runFor(limit_ms, work);
    } catch (error) {
      if ((error as { code?: string }).code !== TIMEOUT) throw error;
      const { user, system } = process.cpuUsage(before);
      const hadItsTime = (user + system) / 1000 > limit_ms / 2;
      if (hadItsTime || tries === 1) throw new ExpressionFailed(`The expressions took longer than ${limit_ms} ms`);
    }
  }
}

/** The sandbox is here for its time limit only: a loop in expressions needs one. */
function runFor<T>(limit_ms: number, work: () => T): T {
  sandbox.work = work;
  try {
    return WORK.runInContext(sandbox, { timeout: limit_ms }) as T;
  } finally {
    sandbox.work = undefined;
  }
}

/** The steps that an expression speaks of; null for `steps` as a whole. */
export function stepsIn(text: string): Set<string | null> {
  const found = new Set<string | null>();
  walk(parseExpression(text).ast, new Set(), ({ op, args }, bound) => {
    const [target, key] = Array.isArray(args) ? (args as unknown[]) : [];
    if (op === 'id' && args === 'steps' && !bound.has('steps')) found.add(null);
    if (!isNode(target) || target.op !== 'id' || target.args !== 'steps' || bound.has('steps')) return [args];
    if (!ACCESS.has(op)) return [args];
    const name = isNode(key) && key.op === 'value' ? key.args : key;
    found.add(typeof name === 'string' ? name : null);
    return [key];
  });
  return found;
}

/** Whether an expression uses a variable. */
export function uses(text: string, variable: string): boolean {
  let isUsed = false;
  walk(parseExpression(text).ast, new Set(), ({ op, args }, bound) => {
    isUsed ||= op === 'id' && args === variable && !bound.has(variable);
    return [args];
  });
  return isUsed;
}

const ACCESS = new Set<string>(['.', '.?', '[]', '[?]']);
const PLAIN = new Set<string>([...ACCESS, 'id', 'value']);

/** Whether it only names a value: that takes no longer than the value is large. All others need {@link bounded}. */
export function isPlain(text: string): boolean {
  let isAll = true;
  walk(parseExpression(text).ast, new Set(), ({ op, args }) => {
    isAll &&= PLAIN.has(op);
    return [args];
  });
  return isAll;
}

const BINDING = new Set<unknown>(['all', 'exists', 'exists_one', 'map', 'filter', 'bind']);

/** Shows each node, with the names that a macro around it has bound; what is returned is looked at next. */
function walk(node: unknown, bound: Set<string>, show: (node: ASTNode, bound: Set<string>) => unknown[]): void {
  if (Array.isArray(node)) return node.forEach((each) => walk(each, bound, show));
  if (!isNode(node)) return;
  const [method, receiver, rest] = node.op === 'rcall' ? (node.args as [unknown, unknown, unknown[]]) : [];
  const variable = BINDING.has(method) ? rest?.[0] : undefined;
  if (!isNode(variable) || variable.op !== 'id') return walk(show(node, bound), bound, show);
  walk(receiver, bound, show);
  walk(rest!.slice(1), new Set(bound).add(variable.args), show);
}

const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value;

/** The result of an expression as JSON that the database can store. */
function toJson(value: unknown, budget: Budget): unknown {
  const child = (each: unknown): unknown => toJson(each, budget);
  budget.spend(2);
  if (value instanceof Optional) return value.hasValue() ? child(value.value()) : null;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return child(Buffer.from(value).toString('base64'));
  if (Array.isArray(value)) return value.map(child);
  if (value instanceof Map)
    return child(Object.fromEntries([...value].map(([key, each]) => [String(key), each as unknown])));
  switch (typeof value) {
    case 'string':
      budget.spend(value.length);
      if (!isText(value)) throw new Error('the result holds U+0000 or half a surrogate pair');
      return value;
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case 'number':
      if (!Number.isFinite(value)) throw new Error('the result is not a finite number');
      return value;
    case 'object':
      return value === null ? null : fieldsToJson(value, budget);
    default:
      return value ?? null;
  }
}

function fieldsToJson(value: object, budget: Budget): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  // CEL's own: an unsigned number, or a duration or type, which have a text.
  if (prototype !== Object.prototype && prototype !== null) {
    const plain: unknown = value.valueOf();
    return toJson(typeof plain === 'bigint' ? plain : (value as { toString(): string }).toString(), budget);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => {
      budget.spend(key.length);
      if (!isText(key)) throw new Error('the result has a key with U+0000 or half a surrogate pair');
      return [key, toJson(child, budget)];
    }),
  );
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
