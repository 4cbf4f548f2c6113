import { createHash } from 'node:crypto';
import { type NamedStatement, statement } from './database.js';

/** Conditions and their values; `?` in a condition stands for the value. */
export class Filters {
  readonly conditions: string[] = [];
  readonly values: unknown[] = [];

  /** Adds the condition if the value is given. */
  add(condition: string, value: unknown): this {
    if (value === undefined) return this;
    this.values.push(value);
    this.conditions.push(condition.replaceAll('?', `$${this.values.length}`));
    return this;
  }

  /** Adds a condition without a value, so that partial indexes for it can serve. */
  addConstant(condition: string): this {
    this.conditions.push(condition);
    return this;
  }

  /** Text that contains the value, whatever its case. */
  addSearch(column: string, value: string | undefined): this {
    return this.add(`${column} ILIKE ?`, value && `%${value.replace(/[\\%_]/g, (found) => `\\${found}`)}%`);
  }

  /** After WHERE, with it; empty when there is no condition. */
  get where(): string {
    return this.conditions.length > 0 ? `WHERE ${this.conditions.join(' AND ')}` : '';
  }

  /**
   * The common lists are planned once per connection. Those with several filters are of too many kinds: each would stay
   * in the memory of every connection.
   */
  prepare(text: string): NamedStatement | string {
    if (this.conditions.length > 1) return text;
    return named(text);
  }
}

/** There are as many as there are lists, sorts and filters. */
const known = new Map<string, NamedStatement>();

function named(text: string): NamedStatement {
  const found = known.get(text) ?? statement(`list_${createHash('sha1').update(text).digest('base64url')}`, text);
  known.set(text, found);
  return found;
}
