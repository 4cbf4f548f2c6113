import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from './fleet.js';
import { HttpClient } from './http-client.js';
import { percentilesOf } from './percentile.js';
import { createTask, newName } from './work.js';

/** So long apart that each task meets agents that wait. */
const PAUSE_MS = 30;
const PATIENCE_MS = 10_000;

export interface WakeUps {
  p50: number;
  p99: number;
}

/**
 * From the time at which a task became ready, by the database's clock, until the waiting agent has it, in ms. The time
 * has no more than milliseconds.
 */
export async function wakeUps(url: string, count: number, agents: number): Promise<WakeUps> {
  const client = new HttpClient(url, 1);
  const agent_type = newName();
  const times: number[] = [];
  const fleet = await Fleet.start(url, {
    agents,
    agent_type,
    max_tasks: 1,
    onLeased: ({ task }) => void times.push(Date.now() - Date.parse(task.ready_at)),
  });
  for (let index = 0; index < count; index++) {
    await sleep(PAUSE_MS);
    await createTask(client, { title: 'Wake up', agent_type });
  }
  for (const end = performance.now() + PATIENCE_MS; times.length < count && performance.now() < end;) {
    await fleet.until(sleep(PAUSE_MS));
  }
  await fleet.stop();
  client.close();
  if (times.length !== count) throw new Error(`${times.length} of ${count} tasks were leased`);
  const [p50, p99] = percentilesOf(times, 50, 99);
  return { p50: p50!, p99: p99! };
}
