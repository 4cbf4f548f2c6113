import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { atMost } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { watchPostgres } from '../postgres-watch.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { createAgent, inParallel, newName } from '../work.js';

const EVERY_MS = 4_000;
const CONNECTIONS = 20;

/** What the signs of life of many agents cost PostgreSQL. */
export async function heartbeats(stage: Stage): Promise<Row[]> {
  const { agents, settle_seconds, watch_seconds } = stage.scale;
  const client = new HttpClient((await stage.ours()).url, CONNECTIONS);
  const type = newName();
  const ids: string[] = [];
  await inParallel(CONNECTIONS, agents, async () => void ids.push(await createAgent(client, type)));
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const pause = (ms: number): Promise<void> => sleep(ms, undefined, over).catch(() => undefined);
  const live = async (id: string, index: number): Promise<void> => {
    await pause((index / agents) * EVERY_MS);
    for (let due = performance.now(); !over.signal.aborted; due += EVERY_MS) {
      await client.call('POST', `/api/v1/agents/${id}/heartbeat`, {});
      await pause(Math.max(0, due + EVERY_MS - performance.now()));
    }
  };
  const living = Promise.all(ids.map(live));
  const watching = watchPostgres(stage.database_url, settle_seconds, watch_seconds);
  const { processor_percent, looks_with_lock_waits } = await Promise.race([watching, living.then(() => watching)]);
  over.abort();
  await living;
  client.close();
  const name = `${agents} agents with a heartbeat every 4 s`;
  return [
    row(`${name}, PostgreSQL % of a core`, { ours: processor_percent, bare: null }, atMost(10)(processor_percent)),
    row(
      `${name}, looks that met a lock wait`,
      { ours: looks_with_lock_waits, bare: null },
      atMost(0)(looks_with_lock_waits),
    ),
  ];
}
