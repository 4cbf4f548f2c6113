import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FULL, QUICK } from './scale.js';
import { dispatch } from './sections/dispatch.js';
import { create, get, list } from './sections/requests.js';
import { tasks } from './sections/tasks.js';
import { workflows } from './sections/workflows.js';
import { Stage } from './stage.js';
import { printTable, type Row } from './table.js';

/** In the order in which they run: those before leave their rows to those after. */
const SECTIONS: Record<string, (stage: Stage) => Promise<Row[]>> = {
  list,
  get,
  create,
  tasks,
  workflows,
  dispatch,
};

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(SECTIONS).join(',') },
    rows: { type: 'string' },
    profile: { type: 'string' },
  },
});
const names = options.only.split(',');
const unknown = names.filter((name) => !SECTIONS[name]);
if (unknown.length > 0) {
  console.error(`There is no section ${unknown.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}.`);
  process.exit(1);
}

const scale = options.quick ? QUICK : FULL;
const profile = options.profile && resolve(options.profile);
const { BENCH_DATABASE_URL: database_url, BENCH_REDIS_URL: redis_url } = process.env;
if (!database_url || !redis_url) throw new Error('To be started by `npm run bench`, which starts PostgreSQL and Redis');

const begin = performance.now();
const seconds = (): string => `${((performance.now() - begin) / 1000).toFixed(0)} s`;
const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
console.log(`PostgreSQL and Redis, ${options.quick ? 'quick' : 'full'}; load of the machine before: ${load()}`);
const stage = await Stage.open(
  { ...scale, rows: Number(options.rows ?? scale.rows) },
  { database_url, redis_url, profile },
);
const rows: Row[] = [];
try {
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (!names.includes(name)) continue;
    console.log(`${seconds().padStart(6)}  ${name}`);
    rows.push(...(await section(stage)));
  }
} finally {
  await stage.clear();
  console.log(`${seconds().padStart(6)}  the end; load: ${load()}\n`);
  printTable(rows, 'baseline');
}
