import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../fleet.js';
import { atMost } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { percentilesOf } from '../percentile.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { createTask, inParallel, type Leased, newName } from '../work.js';

const AGENTS = 20;
/** Agents that did nothing would ask as fast as the server can: then its processor, not the order, makes others wait. */
const WORK_MS = 50;
const PAUSE_MS = 50;
const FLOODING_LINES = 20;

/** What a quiet project's tasks wait from ready to leased, by the database's clock, alone and beside a flooding one. */
export async function fairness(stage: Stage): Promise<Row[]> {
  const { flood, flood_seconds } = stage.scale;
  const { url } = await stage.ours();
  const client = new HttpClient(url, FLOODING_LINES);
  const agent_type = newName();
  const quiet = await createProject(client, 'Quiet');
  const flooding = await createProject(client, 'Flooding');
  const alone = await waits(url, client, { project_id: quiet, agent_type, seconds: flood_seconds });
  await inParallel(FLOODING_LINES, flood, () =>
    createTask(client, { title: 'One of the flood', agent_type, project_id: flooding }),
  );
  const beside = await waits(url, client, { project_id: quiet, agent_type, seconds: flood_seconds });
  if (beside.others >= flood) throw new Error('The flood was over before the measurement');
  client.close();
  const [idle, flooded] = [percentilesOf(alone.waits, 95)[0]!, percentilesOf(beside.waits, 95)[0]!];
  return [
    row("quiet project's p95 from ready to leased, ms", { ours: idle, bare: null }),
    row(`the same beside a flood of ${flood} tasks, ms`, { ours: flooded, bare: null }),
    row('the second / the first', { ours: flooded / idle, bare: null }, atMost(2)(flooded / idle)),
  ];
}

async function createProject(client: HttpClient, name: string): Promise<string> {
  return (await client.call<{ id: string }>('POST', '/api/v1/projects', { name })).id;
}

async function waits(
  url: string,
  client: HttpClient,
  { project_id, agent_type, seconds }: { project_id: string; agent_type: string; seconds: number },
): Promise<{ waits: number[]; others: number }> {
  const waits: number[] = [];
  let others = 0;
  const onLeased = async ({ task }: Leased): Promise<void> => {
    if (task.project_id === project_id) waits.push(Date.parse(task.started_at) - Date.parse(task.ready_at));
    else others++;
    await sleep(WORK_MS);
  };
  const fleet = await Fleet.start(url, { agents: AGENTS, agent_type, max_tasks: 1, onLeased });
  const create = async (): Promise<void> => {
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      await createTask(client, { title: 'Now and then', agent_type, project_id });
      await sleep(PAUSE_MS);
    }
  };
  await fleet.until(create());
  await fleet.stop();
  return { waits, others };
}
