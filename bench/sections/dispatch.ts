import { atMost } from '../goal.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { wakeUps } from '../wake-ups.js';

const WAITING_AGENTS = 10;

export async function dispatch(stage: Stage): Promise<Row[]> {
  const { p50, p99 } = await wakeUps((await stage.ours()).url, stage.scale.wake_ups, WAITING_AGENTS);
  return [
    row('ready to leased, agents waiting, p50 ms', { ours: p50, bare: null }, atMost(10)(p50)),
    row('ready to leased, agents waiting, p99 ms', { ours: p99, bare: null }, atMost(50)(p99)),
  ];
}
