import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { leaseToComplete, twoStepWorkflows, twoTasks } from './embedded-work.js';
import { HttpClient } from './http-client.js';
import { inTurns, ofBoth, type Pair } from './in-turns.js';
import { load, type Request } from './load.js';
import { type Program, ServerProcess } from './server-process.js';
import { loadRows, printTable, ratioRow, row, type Row } from './table.js';
import { wakeUps } from './wake-ups.js';
import { createTask, inParallel } from './work.js';

const isQuick = process.argv.includes('--quick');
const ROWS = 10_000;
const TASKS = isQuick ? 200 : 1_000;
const RUNS = isQuick ? 30 : 200;
/** After a start V8 compiles and collects for half a minute; then a server is really idle. */
const SETTLE_SECONDS = isQuick ? 0 : 45;
const IDLE_SECONDS = isQuick ? 5 : 20;
const LINES = 10;
const LOAD = { connections: 20, seconds: isQuick ? 1 : 4 };

/** What both servers are measured by. */
interface Side {
  folder: string;
  server: ServerProcess;
  first_start_ms: number;
  idle_memory: number;
  idle_processor_percent: number;
  task_id: string;
}

/** A server on an embedded database of its own, started twice, watched while idle, and filled. */
async function prepare(program: Program): Promise<Side> {
  const folder = await mkdtemp(join(tmpdir(), 'flightdeck-bench-'));
  const start = () => {
    const environment = { DATA_DIR: folder, LOG_LEVEL: 'warning', ENABLE_CACHING: 'false' };
    return ServerProcess.start(program, environment);
  };
  const first = await start();
  const { startup_ms: first_start_ms } = first;
  await first.stop();
  const server = await start();
  await sleep(SETTLE_SECONDS * 1000);
  const before = await server.processorMs();
  await sleep(IDLE_SECONDS * 1000);
  const idle_processor_percent = ((await server.processorMs()) - before) / (IDLE_SECONDS * 10);
  const idle_memory = await server.memory();
  const task_id = await fill(server.url);
  return { folder, server, first_start_ms, idle_memory, idle_processor_percent, task_id };
}

/** As many rows as the list is measured over. */
async function fill(url: string): Promise<string> {
  const client = new HttpClient(url, LINES);
  let last = { id: '' };
  await inParallel(LINES, ROWS, async () => {
    last = await createTask(client, { title: 'One of many', agent_type: 'nobody' });
  });
  client.close();
  return last.id;
}

async function measureAll(sides: Pair<Side>): Promise<Row[]> {
  const underLoad = (request: (side: Side) => Request) =>
    inTurns(sides, (side) => load(side.server.url, request(side), LOAD));
  const task = { title: 'Summarise the release notes', agent_type: 'nobody' };
  const newest = '/api/v1/tasks?limit=50&sort_by=created_at';
  const list = await underLoad(() => ({ method: 'GET', path: newest }));
  const get = await underLoad(({ task_id }) => ({ method: 'GET', path: `/api/v1/tasks/${task_id}` }));
  const create = await underLoad(() => ({ method: 'POST', path: '/api/v1/tasks', body: task }));
  const leases = await inTurns(sides, ({ server: { url } }) => leaseToComplete(url, TASKS, LINES));
  const runs = await inTurns(sides, ({ server: { url, program } }) =>
    (program === 'flightdeck' ? twoStepWorkflows : twoTasks)(url, RUNS, LINES),
  );
  const wakeUp = await wakeUps(sides.ours.server.url, isQuick ? 30 : 100, 1);
  const known = (pick: (side: Side) => number): Pair<number> => ({ ours: pick(sides.ours), bare: pick(sides.bare) });
  const memory = { ours: await sides.ours.server.memory(), bare: await sides.bare.server.memory() };
  const same = (value: number): number => value;
  const startup = known(({ first_start_ms }) => first_start_ms);
  const restart = known(({ server }) => server.startup_ms);
  const idleMemory = known(({ idle_memory }) => idle_memory);
  const idleProcessor = known(({ idle_processor_percent }) => idle_processor_percent);
  return [
    ...loadRows('create task', create),
    ...loadRows('get task', get),
    ...loadRows(`list 50 of ${ROWS}`, list),
    ratioRow(`lease to complete, ${TASKS} no-op tasks, per second`, ofBoth(leases, same)),
    ratioRow('two-step workflows, per second (baseline: two tasks, no workflow)', ofBoth(runs, same)),
    row('ready to leased, p50 ms', { ours: wakeUp.p50, bare: null }),
    row('ready to leased, p99 ms', { ours: wakeUp.p99, bare: null }),
    row('first start, ms', startup),
    row('second start, ms', restart),
    row('memory idle, MiB', idleMemory),
    row('memory after the run, MiB', memory),
    row(`processor while idle for ${IDLE_SECONDS} s, %`, idleProcessor),
  ];
}

async function dispose({ server, folder }: Side): Promise<void> {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}

console.log(
  `Embedded database, ${isQuick ? 'quick' : 'full'}; the baseline is bare node:http with the same statements.`,
);
const bare = await prepare('bare-embedded');
const ours = await prepare('flightdeck');
try {
  printTable(await measureAll({ ours, bare }), 'baseline');
} finally {
  await dispose(ours);
  await dispose(bare);
}
