import { describe, expect, it } from 'vitest';
import { Gather, inStep } from './gather.js';
import type { GuardedClient } from './guarded-client.js';
import { transactionScope } from './transaction-scope.js';

const client: Pick<GuardedClient, 'together'> = { together: (send) => send() };

const inTransaction = <T>(work: () => Promise<T>): Promise<T> =>
  transactionScope.run({ client: client as GuardedClient, transaction: null as never, is_open: true }, work);

function recorder() {
  const calls: string[] = [];
  const gatherer = (name: string, refuse: (items: number[]) => boolean = () => false) =>
    new Gather(async (items: number[]) => {
      calls.push(`${name} ${items.join()} begins`);
      await new Promise(setImmediate);
      calls.push(`${name} ends`);
      if (refuse(items)) throw new Error(`${name} refuses`);
      return items.map((item) => item * 10);
    });
  return { calls, gatherer };
}

describe('strands in step', () => {
  it('share a statement wherever they want the same, and send what they want at the same time together', async () => {
    const { calls, gatherer } = recorder();
    const [load, save, extra] = [gatherer('load'), gatherer('save'), gatherer('extra')];

    const results = await inTransaction(() =>
      inStep([1, 2, 3], async (item) => {
        const loaded = await load.add(item);
        if (item === 2) await extra.add(item);
        return save.add(loaded);
      }),
    );

    expect(results).toEqual([100, 200, 300]);
    expect(calls).toEqual([
      'load 1,2,3 begins',
      'load ends',
      'save 10,30 begins',
      'extra 2 begins',
      'save ends',
      'extra ends',
      'save 20 begins',
      'save ends',
    ]);
  });

  it('end before the first error of one is thrown', async () => {
    const { gatherer } = recorder();
    const [load, check] = [gatherer('load'), gatherer('check', (items) => items.includes(10))];
    const ended: number[] = [];

    const result = inTransaction(() =>
      inStep([1, 2], async (item) => {
        const loaded = await load.add(item);
        if (item === 1) await check.add(loaded);
        else for (let more = 0; more < 3; more++) await load.add(more);
        ended.push(item);
      }),
    );

    await expect(result).rejects.toThrow('check refuses');
    expect(ended).toEqual([2]);
  });

  it('of different transactions share nothing', async () => {
    const { calls, gatherer } = recorder();
    const load = gatherer('load');

    await Promise.all([1, 2].map((item) => inTransaction(() => load.add(item))));

    expect(calls.filter((call) => call.endsWith('begins'))).toEqual(['load 1 begins', 'load 2 begins']);
  });

  it('outside of a transaction nobody waits for', async () => {
    const { calls, gatherer } = recorder();
    const load = gatherer('load');

    expect(await Promise.all([load.add(1), load.add(2)])).toEqual([10, 20]);
    expect(calls.filter((call) => call.endsWith('begins'))).toHaveLength(2);
  });
});
