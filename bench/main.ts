import { setTimeout as sleep } from 'node:timers/promises';
import { BenchServer, type Program } from './bench-server.js';
import { HttpClient } from './http-client.js';
import { leaseToComplete, load, type Load, twoStepWorkflows, twoTasks, wakeUps } from './measurements.js';
import { printTable, type Row } from './table.js';

const isQuick = process.argv.includes('--quick');
const SECONDS = isQuick ? 1 : 4;
const ROWS = 10_000;
const TASKS = isQuick ? 200 : 1_000;
const RUNS = isQuick ? 30 : 200;
/** After a start V8 compiles and collects for half a minute; then a server is really idle. */
const SETTLE_SECONDS = isQuick ? 0 : 45;
const IDLE_SECONDS = isQuick ? 5 : 20;
const LINES = 10;

/** What both servers are measured by. */
interface Side {
  program: Program;
  server: BenchServer;
  first_start_ms: number;
  second_start_ms: number;
  idle_memory: number;
  idle_processor_percent: number;
  task_id: string;
}

interface Pair<T> {
  ours: T;
  bare: T;
}

/** A server on an embedded database of its own, started twice, watched while idle, and filled. */
async function prepare(program: Program): Promise<Side> {
  const first = await BenchServer.start(program);
  const { startup_ms: first_start_ms, dataFolder } = first;
  await first.stop(true);
  const server = await BenchServer.start(program, dataFolder);
  await sleep(SETTLE_SECONDS * 1000);
  const before = await server.processorMs();
  await sleep(IDLE_SECONDS * 1000);
  const idle_processor_percent = ((await server.processorMs()) - before) / (IDLE_SECONDS * 10);
  const idle_memory = await server.memory();
  const { id: task_id } = await fill(server.url);
  const { startup_ms: second_start_ms } = server;
  return { program, server, first_start_ms, second_start_ms, idle_memory, idle_processor_percent, task_id };
}

/** Both servers in turns, forth and back, so that what else the machine does meets both. */
async function inTurns<T>(sides: Pair<Side>, measure: (side: Side) => Promise<T>): Promise<Pair<T[]>> {
  const bare = [await measure(sides.bare)];
  const ours = [await measure(sides.ours), await measure(sides.ours)];
  bare.push(await measure(sides.bare));
  return { ours, bare };
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** As many rows as the list is measured over. */
async function fill(url: string): Promise<{ id: string }> {
  const client = new HttpClient(url, LINES);
  let left = ROWS;
  let last = { id: '' };
  await Promise.all(
    Array.from({ length: LINES }, async () => {
      while (left-- > 0)
        last = await client.call('POST', '/api/v1/tasks', { title: 'One of many', agent_type: 'nobody' });
    }),
  );
  client.close();
  return last;
}

const ofBoth = <T>({ ours, bare }: Pair<T[]>, pick: (value: T) => number): Pair<number> => ({
  ours: mean(ours.map(pick)),
  bare: mean(bare.map(pick)),
});

const row = (name: string, { ours, bare }: { ours: number; bare: number | null }, isRate = false): Row => ({
  name,
  ours,
  baseline: bare,
  ...(isRate && bare !== null && { ratio: ours / bare }),
});

const loadRows = (name: string, loads: Pair<Load[]>): Row[] => [
  row(
    `${name}, per second`,
    ofBoth(loads, ({ per_second }) => per_second),
    true,
  ),
  row(
    `${name}, p50 ms`,
    ofBoth(loads, ({ p50 }) => p50),
  ),
  row(
    `${name}, p99 ms`,
    ofBoth(loads, ({ p99 }) => p99),
  ),
];

async function measureAll(sides: Pair<Side>): Promise<Row[]> {
  const task = { title: 'Summarise the release notes', agent_type: 'nobody' };
  const newest = '/api/v1/tasks?limit=50&sort_by=created_at';
  const list = await inTurns(sides, ({ server: { url } }) => load(url, newest, SECONDS));
  const get = await inTurns(sides, ({ server: { url }, task_id }) => load(url, `/api/v1/tasks/${task_id}`, SECONDS));
  const create = await inTurns(sides, ({ server: { url } }) => load(url, '/api/v1/tasks', SECONDS, task));
  const leases = await inTurns(sides, ({ server: { url } }) => leaseToComplete(url, TASKS, LINES));
  const runs = await inTurns(sides, ({ server: { url }, program }) =>
    (program === 'flightdeck' ? twoStepWorkflows : twoTasks)(url, RUNS, LINES),
  );
  const wakeUp = await wakeUps(sides.ours.server.url, isQuick ? 30 : 100);
  const known = (pick: (side: Side) => number): Pair<number> => ({ ours: pick(sides.ours), bare: pick(sides.bare) });
  const memory = { ours: await sides.ours.server.memory(), bare: await sides.bare.server.memory() };
  const same = (value: number): number => value;
  return [
    ...loadRows('create task', create),
    ...loadRows('get task', get),
    ...loadRows(`list 50 of ${ROWS}`, list),
    row(`lease to complete, ${TASKS} no-op tasks, per second`, ofBoth(leases, same), true),
    row('two-step workflows, per second (baseline: two tasks, no workflow)', ofBoth(runs, same), true),
    row('lease wake-up, p50 ms', { ours: wakeUp.p50, bare: null }),
    row('lease wake-up, p99 ms', { ours: wakeUp.p99, bare: null }),
    row(
      'first start, ms',
      known(({ first_start_ms }) => first_start_ms),
    ),
    row(
      'second start, ms',
      known(({ second_start_ms }) => second_start_ms),
    ),
    row(
      'memory idle, MiB',
      known(({ idle_memory }) => idle_memory),
    ),
    row('memory after the run, MiB', memory),
    row(
      `processor while idle for ${IDLE_SECONDS} s, %`,
      known(({ idle_processor_percent }) => idle_processor_percent),
    ),
  ];
}

console.log(
  `Embedded database, ${isQuick ? 'quick' : 'full'}; the baseline is bare node:http with the same statements.`,
);
const bare = await prepare('baseline');
const ours = await prepare('flightdeck');
try {
  printTable(await measureAll({ ours, bare }));
} finally {
  await ours.server.stop();
  await bare.server.stop();
}
