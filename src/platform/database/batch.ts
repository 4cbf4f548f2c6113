import { AsyncLocalStorage } from 'node:async_hooks';
import { isConnectionFailure } from '../errors/connection-failure.js';
import { sqlStateOf } from './database-error.js';
import { openScope } from './transaction-scope.js';
import { tryAgain } from './try-again.js';

interface Entry<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

export interface BatchOptions<Item> {
  /** Items per statement; 50 by default. */
  most?: number;
  /** Statements at the same time: while these are under way, the next batch gathers; 2 by default. */
  lanes?: number;
  /** After a statement for several its lane rests so long, so that the next one is for more; not at all by default. */
  rest_ms?: number;
  /** Items with different keys never wait for each other, e.g. for a row that another transaction has locked. */
  keyOf?: (item: Item) => string;
}

interface Queue<Item, Result> {
  waiting: Entry<Item, Result>[];
  running: number;
}

/** SQLSTATEs that each item would get again: a conflict that was tried again often enough, a statement that takes too long. */
const IS_ABOUT_ALL = /^(40|57014)/;

/** Of one batch at the same time: each may wait long, with a connection. */
const MOST_ALONE = 4;

/** Whether an item by itself may fare better. Nothing was written: where that is not known, the connection has failed. */
const mayBeAboutOne = (error: unknown): boolean => !isConnectionFailure(error) && !IS_ABOUT_ALL.test(sqlStateOf(error));

/**
 * Does in one statement what several requests want at the same time. One that comes alone goes in the same turn of the
 * event loop; under load a statement, a commit and a turn of the network serve many. What an item sees is never older
 * than its call.
 */
export class Batch<Item, Result> {
  private readonly queues = new Map<string, Queue<Item, Result>>();
  /** A batch belongs to none of the requests in it. */
  private readonly outsideRequests = AsyncLocalStorage.snapshot();

  /** `work` answers in the order of the items. */
  constructor(
    private readonly work: (items: Item[]) => Promise<Result[]>,
    private readonly options: BatchOptions<Item> = {},
  ) {}

  /** Within a unit of work the item goes alone, on its connection. */
  async add(item: Item): Promise<Result> {
    if (openScope()) return this.alone(item);
    const key = this.options.keyOf?.(item) ?? '';
    const queue = this.queues.get(key) ?? { waiting: [], running: 0 };
    this.queues.set(key, queue);
    return new Promise((resolve, reject) => {
      queue.waiting.push({ item, resolve, reject });
      // What the same turn of the event loop brings goes together.
      if (queue.waiting.length === 1) this.outsideRequests(() => setImmediate(() => this.next(key, queue)));
    });
  }

  private async alone(item: Item): Promise<Result> {
    const [result] = await this.attempt([item]);
    return result!;
  }

  /** A unit of work, which fails as a whole, is tried again by itself. */
  private attempt(items: Item[]): Promise<Result[]> {
    return openScope() ? this.work(items) : tryAgain(() => this.work(items));
  }

  private next(key: string, queue: Queue<Item, Result>): void {
    const { most = 50, lanes = 2, rest_ms = 0 } = this.options;
    if (queue.waiting.length === 0) {
      if (queue.running === 0 && this.queues.get(key) === queue) this.queues.delete(key);
      return;
    }
    if (queue.running === lanes) return;
    queue.running++;
    const entries = queue.waiting.splice(0, most);
    const goOn = (): void => {
      queue.running--;
      this.next(key, queue);
    };
    void this.run(entries).finally(() => (rest_ms > 0 && entries.length > 1 ? setTimeout(goOn, rest_ms) : goOn()));
    this.next(key, queue);
  }

  private async run(entries: Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await this.attempt(entries.map(({ item }) => item));
      entries.forEach(({ resolve }, index) => resolve(results[index]!));
    } catch (error) {
      if (entries.length > 1 && mayBeAboutOne(error)) this.eachAlone(entries);
      else for (const { reject } of entries) reject(error);
    }
  }

  /** One bad item must not cost the others; nor must the next batch wait for it. */
  private eachAlone(entries: Entry<Item, Result>[]): void {
    const left = [...entries];
    const next = async (): Promise<void> => {
      for (let entry = left.shift(); entry; entry = left.shift()) {
        await this.alone(entry.item).then(entry.resolve, entry.reject);
      }
    };
    for (let lane = 0; lane < MOST_ALONE; lane++) void next();
  }
}
