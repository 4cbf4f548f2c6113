import { LRUCache } from 'lru-cache';
import { questionIn } from './question.js';

/** What an entry costs beside its bytes, about. */
const OVERHEAD_BYTES = 512;

interface Kept {
  value: { body: Buffer };
}

interface Entry {
  key: string;
  kept: Kept;
}

/** Answers in this process: one for each question, the newest. What was not asked for the longest time goes first. */
export class MemoryStore {
  private readonly entries: LRUCache<string, Entry>;

  constructor(max_entries: number, max_bytes: number) {
    this.entries = new LRUCache({
      max: max_entries,
      maxSize: max_bytes,
      sizeCalculation: ({ key, kept }) => OVERHEAD_BYTES + 2 * key.length + kept.value.body.byteLength,
    });
  }

  get size(): number {
    return this.entries.size;
  }

  get bytes(): number {
    return this.entries.calculatedSize;
  }

  get(key: string): Kept | undefined {
    const entry = this.entries.get(questionIn(key));
    return entry?.key === key ? entry.kept : undefined;
  }

  set(key: string, kept: Kept): void {
    this.entries.set(questionIn(key), { key, kept });
  }

  delete(key: string): boolean {
    return this.entries.delete(questionIn(key));
  }

  clear(): void {
    this.entries.clear();
  }
}
