import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { HttpClient } from './http-client.js';
import { FULL, QUICK } from './scale.js';
import { caching } from './sections/caching.js';
import { dispatch } from './sections/dispatch.js';
import { create, get, list } from './sections/requests.js';
import { explain } from './sections/explain.js';
import { fairness } from './sections/fairness.js';
import { heartbeats } from './sections/heartbeats.js';
import { idle } from './sections/idle.js';
import { pages } from './sections/pages.js';
import { protection } from './sections/protection.js';
import { sockets } from './sections/sockets.js';
import { tasks } from './sections/tasks.js';
import { workflows } from './sections/workflows.js';
import { Stage } from './stage.js';
import { printTable, type Row } from './table.js';

/** In the order in which they run. The rows of those before are there for those after. */
const SECTIONS: Record<string, (stage: Stage) => Promise<Row[]>> = {
  explain,
  list,
  caching,
  get,
  create,
  protection,
  pages,
  tasks,
  workflows,
  dispatch,
  fairness,
  sockets,
  heartbeats,
  idle,
};

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(SECTIONS).join(',') },
    rows: { type: 'string' },
    profile: { type: 'string' },
    explain: { type: 'boolean', default: false },
  },
});
const names = options.only.split(',');
const unknown = names.filter((name) => !SECTIONS[name]);
if (unknown.length > 0) {
  console.error(`There is no section ${unknown.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}.`);
  process.exit(1);
}

const { BENCH_DATABASE_URL: database_url, BENCH_REDIS_URL: redis_url } = process.env;
if (!database_url || !redis_url) throw new Error('To be started by `npm run bench`, which starts PostgreSQL and Redis');

const begin = performance.now();
const say = (text: string): void => {
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`${seconds.padStart(5)} s  ${text}`);
};
/** Others on the machine take from both sides, but not evenly. */
const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');

const scale = options.quick ? QUICK : FULL;
const count = Number(options.rows ?? scale.rows);
const profile = options.profile && resolve(options.profile);
say(`PostgreSQL and Redis, ${options.quick ? 'quick' : 'full'}; load of the machine ${load()}`);
const stage = await Stage.open(
  { ...scale, rows: count, page: Math.min(scale.page, Math.floor(count / 50)) },
  { database_url, redis_url },
  { profile, explain: options.explain },
);
say(`${count} tasks and their events are there`);
const rows: Row[] = [];
for (const [name, section] of Object.entries(SECTIONS)) {
  if (!names.includes(name)) continue;
  say(name);
  const repeated = HttpClient.repeated;
  try {
    rows.push(...(await section(stage)));
    const again = HttpClient.repeated - repeated;
    if (again > 0) stage.note(`${name}: ${again} calls were answered with 503 and made again.`);
  } catch (error) {
    // What others measure is worth having nevertheless.
    console.error(`${name} failed:`, error);
    process.exitCode = 1;
  }
}
await stage.clear();
say(`the end; load of the machine ${load()}\n`);
printTable(rows, 'baseline');
for (const note of stage.notes) console.log(note);
if (stage.hasAlarm) process.exitCode = 1;
