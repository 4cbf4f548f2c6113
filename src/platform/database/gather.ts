import { openScope, type TransactionScope } from './transaction-scope.js';

interface Entry<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * Does in one statement what several strands of one transaction want at the same time. So code that is written for one
 * run, awaited for many at once by {@link inStep}, sends as many statements for all of them as for one.
 */
export class Gather<Item, Result> {
  private readonly waiting = new WeakMap<TransactionScope, Entry<Item, Result>[]>();

  /** `work` answers in the order of the items. */
  constructor(private readonly work: (items: Item[]) => Promise<Result[]>) {}

  /** Outside of a transaction the item goes alone, if its statement may. */
  async add(item: Item): Promise<Result> {
    const scope = openScope();
    if (!scope) return (await this.work([item]))[0]!;
    return new Promise((resolve, reject) => {
      const entry = { item, resolve, reject };
      const gathered = this.waiting.get(scope);
      if (gathered) return gathered.push(entry);
      this.waiting.set(scope, [entry]);
      nextTurn(scope).push(() => this.send(scope));
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

/** All strands get to their next statement before any of these is sent; those that are not the same go together. */
function nextTurn(scope: TransactionScope): (() => Promise<void>)[] {
  if (scope.next_turn) return scope.next_turn;
  const sends: (() => Promise<void>)[] = [];
  const send = (): Promise<unknown> => {
    scope.next_turn = undefined;
    return scope.client.together(() => Promise.all(sends.map((each) => each())));
  };
  scope.next_turn = sends;
  scope.last_turn = Promise.resolve(scope.last_turn)
    .then(() => new Promise(setImmediate))
    .then(send);
  return sends;
}

/**
 * Awaits all strands; only then throws, so that none of them outlives the transaction. The error that came first: what
 * comes after it is only that the transaction has failed.
 */
export async function inStep<Item, Result>(
  items: readonly Item[],
  strand: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const strands = items.map(strand);
  try {
    return await Promise.all(strands);
  } finally {
    await Promise.allSettled(strands);
  }
}

/** The row of each id, null where there is none. */
export function inOrder<T extends object>(ids: readonly string[], rows: readonly T[], column: keyof T): (T | null)[] {
  const byId = new Map(rows.map((row) => [row[column] as unknown, row]));
  return ids.map((id) => byId.get(id) ?? null);
}
