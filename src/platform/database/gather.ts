import { openScope, type TransactionScope } from './transaction-scope.js';

interface Entry<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/** What several strands want together is too much for one transaction: `Batch` then lets each go alone. */
export class TooMuchTogether extends Error {}

/** The statements of a transaction take turns on its one connection. */
const turns = new WeakMap<TransactionScope, Promise<unknown>>();

/**
 * Does in one statement what several strands of one transaction want at the same time. So code that is written for one
 * run, awaited for many at once by {@link inStep}, sends as many statements for all of them as for one.
 */
export class Gather<Item, Result> {
  private readonly waiting = new WeakMap<TransactionScope, Entry<Item, Result>[]>();

  /** `work` answers in the order of the items. */
  constructor(private readonly work: (items: Item[]) => Promise<Result[]>) {}

  /** Outside of a transaction the item goes alone. */
  async add(item: Item): Promise<Result> {
    const scope = openScope();
    if (!scope) return (await this.work([item]))[0]!;
    return new Promise((resolve, reject) => {
      const entry = { item, resolve, reject };
      const gathered = this.waiting.get(scope);
      if (gathered) return gathered.push(entry);
      this.waiting.set(scope, [entry]);
      // All strands get to their next statement before this one is sent.
      const turn = Promise.resolve(turns.get(scope)).then(() => new Promise(setImmediate));
      turns.set(
        scope,
        turn.then(() => this.send(scope)),
      );
    });
  }

  private async send(scope: TransactionScope): Promise<void> {
    const entries = this.waiting.get(scope)!;
    this.waiting.delete(scope);
    try {
      const results = await this.work(entries.map(({ item }) => item));
      entries.forEach(({ resolve }, index) => resolve(results[index]!));
    } catch (error) {
      for (const { reject } of entries) reject(error);
    }
  }
}

/** Awaits all strands; only then throws the first error, so that none of them outlives the transaction. */
export async function inStep<Item, Result>(
  items: readonly Item[],
  strand: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const outcomes = await Promise.allSettled(items.map(strand));
  const refused = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
  if (refused) throw refused.reason;
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<Result>).value);
}

/** The row of each id, null where there is none. */
export function inOrder<T extends Record<string, unknown>>(ids: string[], rows: T[], column: string): (T | null)[] {
  const byId = new Map(rows.map((row) => [row[column], row]));
  return ids.map((id) => byId.get(id) ?? null);
}
