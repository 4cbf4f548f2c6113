import { Fleet } from '../fleet.js';
import { atLeast } from '../goal.js';
import { HttpClient } from '../http-client.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { createTask, inParallel, newName } from '../work.js';

const CREATORS = 16;
const AGENTS = 8;
const TASKS_AT_ONCE = 20;

/** From the first POST to the last answer to a completion, all over HTTP. */
export async function tasks(stage: Stage): Promise<Row[]> {
  const { url } = await stage.ours();
  await postToCompleted(url, Math.ceil(stage.scale.tasks / 20));
  const per_second = await postToCompleted(url, stage.scale.tasks);
  const name = `no-op tasks from POST to completed, per second (${stage.scale.tasks})`;
  return [row(name, { ours: per_second, bare: null }, atLeast(1500)(per_second))];
}

async function postToCompleted(url: string, count: number): Promise<number> {
  const creators = new HttpClient(url, CREATORS);
  const agent_type = newName();
  let left = count;
  let finish: (at: number) => void;
  const finished = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const onCompleted = (): void => {
    if (--left === 0) finish(performance.now());
  };
  const fleet = await Fleet.start(url, { agents: AGENTS, agent_type, max_tasks: TASKS_AT_ONCE, onCompleted });
  const begin = performance.now();
  await inParallel(CREATORS, count, () => createTask(creators, { title: 'No-op', agent_type }));
  const end = await fleet.until(finished);
  await fleet.stop();
  creators.close();
  return count / ((end - begin) / 1000);
}
