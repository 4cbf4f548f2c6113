import { setTimeout as sleep } from 'node:timers/promises';
import { connected } from './database.js';
import { settle } from './fill.js';
import { parentOf, processorMsOfPostgres, threadMsOf } from './process-usage.js';

const LOOK_EVERY_MS = 200;

export interface Watched {
  /** Of one core, over all processes of the server but the one that looks. */
  processor_percent: number;
  /** Looks at which a session waited for a lock. */
  looks_with_lock_waits: number;
}

/** What PostgreSQL does for some seconds. What it had still to do before, it does first. */
export async function watchPostgres(url: string, settleSeconds: number, seconds: number): Promise<Watched> {
  return connected(url, async (client) => {
    await settle(client);
    await sleep(settleSeconds * 1000);
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const { pid } = rows[0]!;
    const postmaster = await parentOf(pid);
    const used = async (): Promise<number> => (await processorMsOfPostgres(postmaster)) - (await threadMsOf(pid));
    const usedBefore = await used();
    const begin = performance.now();
    let looks_with_lock_waits = 0;
    while (performance.now() - begin < seconds * 1000) {
      await sleep(LOOK_EVERY_MS);
      const found = await client.query(`
        SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' UNION ALL
        SELECT FROM pg_locks WHERE NOT granted LIMIT 1`);
      if (found.rowCount) looks_with_lock_waits++;
    }
    const processor_percent = (((await used()) - usedBefore) / (performance.now() - begin)) * 100;
    return { processor_percent, looks_with_lock_waits };
  });
}
