import { BenchServer, type Program } from './bench-server.js';
import { HttpClient } from './http-client.js';
import { leaseToComplete, type Load, load, twoStepWorkflows, twoTasks, wakeUps } from './measurements.js';
import { printTable, type Row } from './table.js';

const isQuick = process.argv.includes('--quick');
const SECONDS = isQuick ? 2 : 6;
const ROWS = 10_000;
const TASKS = isQuick ? 300 : 1_000;
const RUNS = isQuick ? 50 : 300;
const IDLE_SECONDS = isQuick ? 5 : 20;
const LINES = 10;

interface Result {
  first_start_ms: number;
  second_start_ms: number;
  idle_memory: number;
  idle_processor_percent: number;
  create: Load;
  get: Load;
  list: Load;
  lease_to_complete: number;
  two_steps: number;
  wake_up: { p50: number; p99: number } | null;
  memory_after: number;
}

/** Everything about one of the two servers, on an embedded database of its own. */
async function measure(program: Program): Promise<Result> {
  const first = await BenchServer.start(program);
  const { startup_ms: first_start_ms, dataFolder } = first;
  await first.stop(true);
  const server = await BenchServer.start(program, dataFolder);
  const { url, startup_ms: second_start_ms } = server;
  try {
    const before = await server.processorMs();
    await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1000));
    const idle_processor_percent = ((await server.processorMs()) - before) / (IDLE_SECONDS * 10);
    const idle_memory = await server.memory();
    const { id } = await fill(url);
    const task = { title: 'Summarise the release notes', agent_type: 'nobody' };
    return {
      first_start_ms,
      second_start_ms,
      idle_memory,
      idle_processor_percent,
      list: await load(url, '/api/v1/tasks?limit=50&sort_by=created_at', SECONDS),
      get: await load(url, `/api/v1/tasks/${id}`, SECONDS),
      create: await load(url, '/api/v1/tasks', SECONDS, task),
      lease_to_complete: await leaseToComplete(url, TASKS, LINES),
      two_steps: await (program === 'flightdeck' ? twoStepWorkflows : twoTasks)(url, RUNS, LINES),
      wake_up: program === 'flightdeck' ? await wakeUps(url, isQuick ? 30 : 100) : null,
      memory_after: await server.memory(),
    };
  } finally {
    await server.stop();
  }
}

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

function rows(ours: Result, bare: Result): Row[] {
  const rate = (name: string, pick: (result: Result) => Load): Row[] => {
    const [a, b] = [pick(ours), pick(bare)];
    return [
      { name: `${name}, per second`, ours: a.per_second, baseline: b.per_second, ratio: a.per_second / b.per_second },
      { name: `${name}, p50 ms`, ours: a.p50, baseline: b.p50 },
      { name: `${name}, p99 ms`, ours: a.p99, baseline: b.p99 },
    ];
  };
  const plain = (name: string, a: number, b: number | null, isRate = false): Row => ({
    name,
    ours: a,
    baseline: b,
    ...(isRate && b !== null && { ratio: a / b }),
  });
  return [
    ...rate('create task', ({ create }) => create),
    ...rate('get task', ({ get }) => get),
    ...rate(`list 50 of ${ROWS}`, ({ list }) => list),
    plain(`lease to complete, ${TASKS} no-op tasks, per second`, ours.lease_to_complete, bare.lease_to_complete, true),
    plain('two-step workflows, per second (baseline: two tasks, no workflow)', ours.two_steps, bare.two_steps, true),
    plain('lease wake-up, p50 ms', ours.wake_up!.p50, null),
    plain('lease wake-up, p99 ms', ours.wake_up!.p99, null),
    plain('first start, ms', ours.first_start_ms, bare.first_start_ms),
    plain('second start, ms', ours.second_start_ms, bare.second_start_ms),
    plain('memory idle, MiB', ours.idle_memory, bare.idle_memory),
    plain('memory after the run, MiB', ours.memory_after, bare.memory_after),
    plain(`processor while idle for ${IDLE_SECONDS} s, %`, ours.idle_processor_percent, bare.idle_processor_percent),
  ];
}

console.log(
  `Embedded database, ${isQuick ? 'quick' : 'full'}; the baseline is bare node:http with the same statements.`,
);
const baseline = await measure('baseline');
const flightdeck = await measure('flightdeck');
printTable(rows(flightdeck, baseline));
