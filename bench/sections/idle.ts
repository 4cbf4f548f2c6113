import { atMost } from '../goal.js';
import { watchPostgres } from '../postgres-watch.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';

const WORKER = { portVariable: 'METRICS_PORT', readyPath: '/metrics' };

/** Two api nodes and two workers with nothing to do, their queue in Redis. */
export async function idle(stage: Stage): Promise<Row[]> {
  await stage.clear();
  const { settle_seconds, watch_seconds } = stage.scale;
  const nodes = await Promise.all([
    stage.flightdeck({ ROLE: 'api' }),
    stage.flightdeck({ ROLE: 'api' }),
    stage.flightdeck({ ROLE: 'worker' }, WORKER),
    stage.flightdeck({ ROLE: 'worker' }, WORKER),
  ]);
  const { processor_percent } = await watchPostgres(stage.database_url, settle_seconds, watch_seconds);
  await Promise.all(nodes.map((node) => node.stop()));
  const name = 'idle cluster (2 api, 2 workers, Redis), PostgreSQL % of a core';
  return [row(name, { ours: processor_percent, bare: null }, atMost(1)(processor_percent))];
}
