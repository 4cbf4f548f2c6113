import { Budget, evaluate, ExpressionFailed, type Scope } from './expressions.js';

const OPEN = '${{';
const CLOSE = '}}';

type Part = { text: string } | { expression: string };

/** The expressions in a string. Throws ExpressionFailed when one has no end. */
export const expressionsIn = (text: string): string[] =>
  partsOf(text).flatMap((part) => ('expression' in part ? [part.expression] : []));

/** A condition or list may stand with or without the braces. */
export function bare(text: string): string {
  const trimmed = text.trim();
  if (!trimmed.startsWith(OPEN)) return trimmed;
  const only = onlyExpression(partsOf(trimmed));
  if (only === null) throw new ExpressionFailed(`Here one expression is wanted, not text around it: ${trimmed}`);
  return only;
}

/** Fills in a string. One that is exactly one expression takes the value's type. */
export function fillText(text: string, scope: Scope, budget = new Budget()): unknown {
  const parts = partsOf(text);
  const only = onlyExpression(parts);
  if (only !== null) return evaluate(only, scope, budget);
  return parts
    .map((part) => ('text' in part ? spend(part.text, budget) : asText(evaluate(part.expression, scope, budget))))
    .join('');
}

/** The same, always as text. */
export const fillAsText = (text: string, scope: Scope, budget = new Budget()): string =>
  asText(fillText(text, scope, budget));

/** Fills in all strings of a JSON value. */
export function fill(value: unknown, scope: Scope, budget = new Budget()): unknown {
  budget.spend(2);
  if (typeof value === 'string') return fillText(value, scope, budget);
  if (Array.isArray(value)) return value.map((item) => fill(item, scope, budget));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [spend(key, budget), fill(child, scope, budget)]),
  );
}

function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (let begin = text.indexOf(OPEN); begin >= 0; begin = text.indexOf(OPEN, at)) {
    const end = endOf(text, begin + OPEN.length);
    if (begin > at) parts.push({ text: text.slice(at, begin) });
    parts.push({ expression: text.slice(begin + OPEN.length, end).trim() });
    at = end + CLOSE.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at) });
  return parts;
}

/** Where the braces close: not within quotes, nor where they close braces of the expression itself. */
function endOf(text: string, from: number): number {
  let quote: string | null = null;
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at]!;
    if (quote !== null) {
      if (character === '\\') at++;
      else if (character === quote) quote = null;
    } else if (character === '"' || character === "'") quote = character;
    else if (character === '{') depth++;
    else if (character === '}' && depth > 0) depth--;
    else if (text.startsWith(CLOSE, at)) return at;
  }
  throw new ExpressionFailed(`An expression has no end: ${text.slice(from - OPEN.length).slice(0, 100)}`);
}

/** Blanks around it do not count. */
function onlyExpression(parts: readonly Part[]): string | null {
  const [part, ...others] = parts.filter((each) => 'expression' in each || each.text.trim() !== '');
  return part && 'expression' in part && others.length === 0 ? part.expression : null;
}

function spend(text: string, budget: Budget): string {
  budget.spend(text.length);
  return text;
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
