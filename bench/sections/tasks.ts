import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../fleet.js';
import { atLeast } from '../goal.js';
import { HttpClient } from '../http-client.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { createTask, newName } from '../work.js';

/** As many as for creation alone. */
const CREATORS = 50;
const AGENTS = 8;
const TASKS_AT_ONCE = 20;

/** From the first POST to the last answer to a completion, all over HTTP. */
export async function tasks(stage: Stage): Promise<Row[]> {
  const { url } = await stage.ours();
  const { tasks, tasks_seconds } = stage.scale;
  await postToCompleted(url, tasks / 20, tasks_seconds / 10, true);
  const together = await postToCompleted(url, tasks, tasks_seconds / 2, true);
  const each = await postToCompleted(url, tasks, tasks_seconds / 2, false);
  const name = 'no-op tasks from POST to completed, per second';
  return [
    row(`${name}, results in lists`, { ours: together, bare: null }, atLeast(1500)(together)),
    row(`${name}, each result by itself`, { ours: each, bare: null }),
  ];
}

/** Tasks per second. */
async function postToCompleted(url: string, most: number, seconds: number, together: boolean): Promise<number> {
  const creators = new HttpClient(url, CREATORS);
  const agent_type = newName();
  const so_far = { created: 0, completed: 0, last_at: 0 };
  const onCompleted = (): void => {
    so_far.completed++;
    so_far.last_at = performance.now();
  };
  const fleet = await Fleet.start(url, { agents: AGENTS, agent_type, max_tasks: TASKS_AT_ONCE, together, onCompleted });
  const begin = performance.now();
  const create = async (): Promise<void> => {
    while (so_far.created < most && performance.now() - begin < seconds * 1000) {
      so_far.created++;
      await createTask(creators, { title: 'No-op', agent_type });
    }
  };
  await fleet.until(Promise.all(Array.from({ length: CREATORS }, create)));
  while (so_far.completed < so_far.created) await fleet.until(sleep(10));
  await fleet.stop();
  creators.close();
  const { completed: count, last_at } = so_far;
  return count / ((last_at - begin) / 1000);
}
