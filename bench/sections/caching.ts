import { setTimeout as sleep } from 'node:timers/promises';
import { atLeast } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { inTurnsWarmedUp, ofBoth, type Pair } from '../in-turns.js';
import { load, type Load } from '../load.js';
import type { ServerProcess } from '../server-process.js';
import type { Stage } from '../stage.js';
import { ratioRow, row, type Row } from '../table.js';

/** Without the cache, a sum over all tasks takes longer than that for each request. */
const SHORTEST_TURN_SECONDS = 0.25;
const CONNECTIONS = 20;
/** Beside what the database is filled with. */
const MORE = { projects: 90, agents: 80, workflows: 100 };
const CHANGE_EVERY_MS = 5;

const ROUTES = [
  '/api/v1/tasks?limit=50',
  '/api/v1/projects',
  '/api/v1/workflows',
  '/api/v1/tasks/stats/summary',
  '/api/v1/agents/stats/summary',
];

/** The same server with its cache and without it: what is kept, and what is never asked again before it has changed. */
export async function caching(stage: Stage): Promise<Row[]> {
  const ours = await stage.flightdeck({ ENABLE_CACHING: 'true' });
  const bare = await stage.flightdeck();
  try {
    await makeMore(bare.url);
    // What all routes go through is compiled before the first one counts.
    for (const path of ROUTES) await measure(stage, { ours, bare }, path);
    const rows: Row[] = [];
    for (const path of ROUTES) {
      const loads = await measure(stage, { ours, bare }, path);
      const rates = ofBoth(loads, ({ per_second }) => per_second);
      rows.push(ratioRow(`cached ${nameOf(path)}, per second`, rates, atLeast(3)));
      rows.push(
        row(
          'the same, p50 ms',
          ofBoth(loads, ({ p50 }) => p50),
        ),
      );
    }
    rows.push(await inVain(stage, { ours, bare }));
    return rows;
  } finally {
    await Promise.all([ours.stop(), bare.stop()]);
  }
}

const nameOf = (path: string): string => path.replace('/api/v1/', '').replace('/stats', '').replace('?limit=', ', ');

const measure = (stage: Stage, servers: Pair<ServerProcess>, path: string): Promise<Pair<Load[]>> =>
  inTurnsWarmedUp(servers, Math.max(stage.scale.seconds / 4, SHORTEST_TURN_SECONDS), ({ url }, seconds) =>
    load(url, { method: 'GET', path }, { connections: CONNECTIONS, seconds }),
  );

/** Tasks are created all the time: what a cache costs that is no use. */
async function inVain(stage: Stage, servers: Pair<ServerProcess>): Promise<Row> {
  const stop = new AbortController();
  const changes = Promise.all(
    [servers.ours, servers.bare].map(async ({ url }) => {
      const client = new HttpClient(url, 1);
      for (let count = 0; !stop.signal.aborted; count++) {
        await client.call('POST', '/api/v1/tasks', { title: `Change ${count}`, agent_type: 'nobody' });
        await sleep(CHANGE_EVERY_MS);
      }
      client.close();
    }),
  );
  try {
    const rates = ofBoth(await measure(stage, servers, ROUTES[0]!), ({ per_second }) => per_second);
    return ratioRow(`${nameOf(ROUTES[0]!)}, while tasks are created, per second`, rates, atLeast(0.9));
  } finally {
    stop.abort();
    await changes;
  }
}

async function makeMore(url: string): Promise<void> {
  const client = new HttpClient(url, 4);
  const steps = [{ key: 'read' }, { key: 'write', depends_on: ['read'] }];
  for (const [name, count] of Object.entries(MORE)) {
    const fields = name === 'workflows' ? { steps } : name === 'agents' ? { type: 'nobody' } : {};
    for (let made = 0; made < count; made++) {
      await client.call('POST', `/api/v1/${name}`, { name: `One more ${made}`, ...fields });
    }
  }
  client.close();
}
