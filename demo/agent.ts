import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from './api.js';
import { LEASE_SECONDS, work } from './leased-work.js';
import type { Agent, LeasedTask } from './resources.js';

const SLOTS = 4;
const WAIT_SECONDS = 20;

/** A process that works for the fleet: `node agent.js <url> <type> <name> [crash after so many tasks]`. */
const [url = '', type = '', name = '', crashAfter = ''] = process.argv.slice(2);
const api = new Api(url);
const tasksUntilCrash = crashAfter === '' ? Infinity : Number(crashAfter);

const stopping = new AbortController();
process.once('SIGTERM', () => stopping.abort());
// The parent went away without a word.
process.once('disconnect', () => stopping.abort());
// Ctrl-C reaches the whole group of processes; the parent decides in which order they stop.
process.on('SIGINT', () => undefined);

const agent = await api.post<Agent>(
  '/api/v1/agents',
  { name, type, max_concurrent_tasks: SLOTS, tags: ['demo'] },
  { creates: true, signal: stopping.signal },
);
process.send?.('ready');
await serve(stopping.signal);
await api
  .patch(`/api/v1/agents/${agent.id}/status`, { status: 'offline' }, { signal: AbortSignal.timeout(2_000) })
  // Then its silence says it.
  .catch(() => undefined);
if (process.connected) process.disconnect();

/** Keeps its slots full until it is told to stop; then it waits until everything it holds is given back. */
async function serve(signal: AbortSignal): Promise<void> {
  const held = new Set<Promise<void>>();
  let done = 0;
  while (!signal.aborted) {
    for (const leased of await lease(SLOTS - held.size, signal)) {
      // On purpose, as a real crash would: without a word, and with the lease in its hands.
      if (done >= tasksUntilCrash) process.kill(process.pid, 'SIGKILL');
      const job = work(api, leased, signal).finally(() => {
        done++;
        held.delete(job);
      });
      held.add(job);
    }
    if (held.size === SLOTS) await Promise.race(held);
  }
  await Promise.all(held);
}

async function lease(max_tasks: number, signal: AbortSignal): Promise<LeasedTask[]> {
  const request = { agent_id: agent.id, max_tasks, wait_seconds: WAIT_SECONDS, lease_seconds: LEASE_SECONDS };
  try {
    const leased = await api.post<LeasedTask[]>('/api/v1/tasks/lease', request, { signal });
    // A server that is stopping answers at once.
    if (leased.length === 0) await sleep(100, undefined, { signal });
    return leased;
  } catch (error) {
    if (signal.aborted) return [];
    throw error;
  }
}
