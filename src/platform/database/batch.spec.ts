import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import { Batch } from './batch.js';

/** Records the batches; each waits until it is let go. */
function recorder(refuse: (items: number[]) => unknown = () => null) {
  const batches: number[][] = [];
  const held: (() => void)[] = [];
  const work = async (items: number[]) => {
    batches.push(items);
    await new Promise<void>((resolve) => held.push(resolve));
    const error = refuse(items);
    if (error) throw error;
    return items.map((item) => item * 10);
  };
  const letGo = async () => {
    for (let turns = 0; turns < 10; turns++) {
      for (const release of held.splice(0)) release();
      await new Promise(setImmediate);
    }
  };
  return { batches, work, letGo };
}

const nextTurn = () => new Promise(setImmediate);
const refusal = (code: string) => Object.assign(new Error(code), { code });

describe('a batch', () => {
  it('is what one turn of the event loop brings, up to a number', async () => {
    const { batches, work, letGo } = recorder();
    const batch = new Batch(work, { most: 3, lanes: 2 });

    const results = Promise.all([1, 2, 3, 4].map((item) => batch.add(item)));
    await nextTurn();
    expect(batches).toEqual([[1, 2, 3], [4]]);
    await letGo();

    expect(await results).toEqual([10, 20, 30, 40]);
  });

  it('gathers while as many as may are under way', async () => {
    const { batches, work, letGo } = recorder();
    const batch = new Batch(work, { most: 3, lanes: 2 });

    const results: Promise<number>[] = [];
    for (const item of [1, 2, 3, 4, 5, 6]) {
      results.push(batch.add(item));
      await nextTurn();
    }
    expect(batches).toEqual([[1], [2]]);
    await letGo();

    expect(batches).toEqual([[1], [2], [3, 4, 5], [6]]);
    expect(await Promise.all(results)).toEqual([10, 20, 30, 40, 50, 60]);
  });

  it.each(['22003', '23503', '54000'])('is done one by one when an item is refused with %s', async (code) => {
    const { batches, work, letGo } = recorder((items) => (items.includes(3) ? refusal(code) : null));
    const batch = new Batch(work, { most: 10, lanes: 1 });

    const results = Promise.allSettled([2, 3, 4].map((item) => batch.add(item)));
    await letGo();

    expect(batches).toEqual([[2, 3, 4], [2], [3], [4]]);
    expect(await results).toMatchObject([{ value: 20 }, { reason: { code } }, { value: 40 }]);
  });

  it('does not wait for one with another key', async () => {
    const { batches, work, letGo } = recorder();
    const batch = new Batch(work, { lanes: 1, keyOf: (item) => String(item % 2) });

    const results = Promise.all([1, 2, 3, 4, 5].map((item) => batch.add(item)));
    await nextTurn();
    expect(batches).toEqual([
      [1, 3, 5],
      [2, 4],
    ]);
    await letGo();

    expect(await results).toEqual([10, 20, 30, 40, 50]);
  });

  it.each(['40P01', '40001'])('is tried again when the database asks for it with %s', async (code) => {
    let tries = 0;
    const { batches, work, letGo } = recorder(() => (++tries < 3 ? refusal(code) : null));
    const batch = new Batch(work);

    const results = Promise.all([1, 2].map((item) => batch.add(item)));
    await letGo();

    expect(batches).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(await results).toEqual([10, 20]);
  });

  it('is not repeated when nobody knows whether it was done', async () => {
    const { batches, work, letGo } = recorder((items) => (items.length > 1 ? refusal('08006') : null));
    const batch = new Batch(work, { most: 10, lanes: 1 });

    const results = Promise.allSettled([2, 3].map((item) => batch.add(item)));
    await letGo();

    expect(batches).toEqual([[2, 3]]);
    expect(await results).toMatchObject([{ reason: { code: '08006' } }, { reason: { code: '08006' } }]);
  });

  it('runs in the context of none of its requests', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const batch = new Batch(async (items: number[]) => {
      seen.push(context.getStore());
      return items;
    });

    const after = await context.run('request', async () => {
      await batch.add(1);
      return context.getStore();
    });

    expect(seen).toEqual([undefined]);
    expect(after).toBe('request');
  });
});
