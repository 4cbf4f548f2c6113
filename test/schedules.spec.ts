import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WorkflowSchedules } from '../src/workflows/workflow-schedules.js';
import { eventually, sleep } from './support/eventually.js';
import { complete, lease, makeAgent, makeWorkflow } from './support/makers.js';
import { Nodes } from './support/nodes.js';
import { act, execute, getRun, getWorkflow, tasksOf } from './support/runs.js';
import { startTestApp, type TestApp } from './support/test-app.js';

const MONTHLY = { cron: '0 0 1 * *' };
const CATCH_UP_SECONDS = 300;

// oxlint-disable-next-line typescript/no-explicit-any
type Made = any;

let server: TestApp;

beforeAll(async () => {
  server = await startTestApp({ environment: { SCHEDULE_CATCH_UP_SECONDS: CATCH_UP_SECONDS } });
});
afterAll(() => server.close());

const runsOf = async (app: TestApp, { id }: Made): Promise<Made[]> =>
  (await app.get(`/api/v1/workflows/${id}/runs?sort_order=asc`)).body;

/** The schedule was to tick so many seconds ago: as if time had passed. */
const letTimePass = (app: TestApp, { id }: Made, seconds = 10) =>
  app.database.query('UPDATE workflows SET next_tick_at = now() - make_interval(secs => $2) WHERE id = $1', [
    id,
    seconds,
  ]);

/** A workflow with one step, and an agent for it. */
async function scheduled(overlap: string, fields: object = {}) {
  const agent = await makeAgent(server, { max_concurrent_tasks: 10 });
  const workflow = await makeWorkflow(server, {
    steps: [{ key: 'a', agent_type: agent.type }],
    schedule: { ...MONTHLY, overlap },
    ...fields,
  });
  return { agent, workflow };
}

describe('a schedule', () => {
  it('is kept with its defaults, and says when it comes next', async () => {
    const { body: made } = await server.post('/api/v1/workflows', { name: 'Monthly', schedule: MONTHLY });
    const next = new Date();
    next.setUTCMonth(next.getUTCMonth() + 1, 1);
    next.setUTCHours(0, 0, 0, 0);

    expect(made).toMatchObject({
      schedule: { cron: '0 0 1 * *', timezone: 'UTC', overlap: 'skip' },
      scheduled_at: next.toISOString(),
    });
    expect(await getWorkflow(server, made.id)).toMatchObject({
      schedule: made.schedule,
      scheduled_at: made.scheduled_at,
    });
  });

  it('can be changed, left as it is, and taken away', async () => {
    const { workflow } = await scheduled('queue');
    const put = async (body: object) => (await server.put(`/api/v1/workflows/${workflow.id}`, body)).body;

    const renamed = await put({ name: 'Renamed' });
    const changed = await put({ schedule: { cron: '0 12 * * *', timezone: 'Asia/Tokyo' } });
    const gone = await put({ schedule: null });

    expect(renamed.schedule).toEqual({ ...MONTHLY, timezone: 'UTC', overlap: 'queue' });
    expect(changed).toMatchObject({ schedule: { cron: '0 12 * * *', timezone: 'Asia/Tokyo', overlap: 'skip' } });
    expect(changed.scheduled_at).toMatch(/T03:00:00.000Z$/);
    expect(gone).toMatchObject({ schedule: null, scheduled_at: null });
  });

  it.each([
    [{ cron: 'often' }, '/schedule/cron'],
    [{ cron: '* * * * * *' }, '/schedule/cron'],
    [{ cron: '0 0 31 2 *' }, '/schedule/cron'],
    [{ cron: 5 }, '/schedule/cron'],
    [{}, '/schedule/cron'],
    [{ ...MONTHLY, timezone: 'Mars/Base' }, '/schedule/timezone'],
    [{ ...MONTHLY, timezone: null }, '/schedule/timezone'],
    [{ ...MONTHLY, overlap: 'maybe' }, '/schedule/overlap'],
    ['* * * * *', '/schedule'],
  ])('is refused as %j', async (schedule, pointer) => {
    const answer = await server.post('/api/v1/workflows', { name: 'Refused', schedule });

    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });
});

describe('at its tick a workflow', () => {
  it('runs with its parameters, once, and waits for the next tick', async () => {
    const { agent, workflow } = await scheduled('skip', { parameters: { city: 'Oslo' } });
    await letTimePass(server, workflow);

    const [run] = await eventually(async () => {
      const runs = await runsOf(server, workflow);
      expect(runs).toHaveLength(1);
      return runs;
    });
    const [held] = await lease(server, agent);
    await complete(server, held!);

    expect(run).toMatchObject({ trigger: 'schedule', status: 'running', run_number: 1, input: { city: 'Oslo' } });
    expect(Date.parse(run.scheduled_at)).toBeLessThan(Date.parse(run.started_at));
    expect(await getRun(server, run.id)).toMatchObject({ status: 'completed' });
    const { scheduled_at } = await getWorkflow(server, workflow.id);
    expect(Date.parse(scheduled_at)).toBeGreaterThan(Date.now());
    const events = await server.events({ workflow_id: workflow.id });
    expect(events.find(({ type }) => type === 'workflow_executed')).toMatchObject({
      source: 'scheduler',
      data: { trigger: 'schedule', run_number: 1 },
    });
  });

  it('runs once for all ticks that it missed within the time to catch up', async () => {
    const { workflow } = await scheduled('allow');
    await server.database.query(
      `UPDATE workflows SET schedule = '{"cron": "* * * * *", "timezone": "UTC", "overlap": "allow"}' WHERE id = $1`,
      [workflow.id],
    );
    await letTimePass(server, workflow, CATCH_UP_SECONDS - 60);

    await eventually(async () => expect(await runsOf(server, workflow)).toHaveLength(1));
    await sleep(2500);

    const runs = await runsOf(server, workflow);
    // A minute may have ended meanwhile.
    expect(runs.length).toBeLessThanOrEqual(2);
    expect(Date.now() - Date.parse(runs[0].scheduled_at)).toBeLessThan(70_000);
  });

  it('does not run when that time is over', async () => {
    const { workflow } = await scheduled('skip');
    await letTimePass(server, workflow, CATCH_UP_SECONDS + 3600);

    await eventually(async () =>
      expect(Date.parse((await getWorkflow(server, workflow.id)).scheduled_at)).toBeGreaterThan(Date.now()),
    );

    expect(await runsOf(server, workflow)).toEqual([]);
  });

  it('does not run while it is inactive', async () => {
    const { workflow } = await scheduled('skip');
    await server.patch(`/api/v1/workflows/${workflow.id}/status`, { status: 'inactive' });
    await letTimePass(server, workflow);

    await eventually(async () =>
      expect(Date.parse((await getWorkflow(server, workflow.id)).scheduled_at)).toBeGreaterThan(Date.now()),
    );

    expect(await runsOf(server, workflow)).toEqual([]);
  });

  it('does not keep another one from running by failing', async () => {
    const broken = await scheduled('skip');
    const sound = await scheduled('skip');
    await server.database.query(`UPDATE workflows SET parameters = 'null' WHERE id = $1`, [broken.workflow.id]);
    await letTimePass(server, broken.workflow);
    await letTimePass(server, sound.workflow);

    await eventually(async () => expect(await runsOf(server, sound.workflow)).toHaveLength(1));
  });
});

describe('a tick while an earlier run is not over', () => {
  /** The statuses of the runs after a second tick, which comes while the first run has a task leased. */
  async function secondTick(overlap: string, expected: string[]) {
    const made = await scheduled(overlap);
    const { body: first } = await execute(server, made.workflow.id);
    const [held] = await lease(server, made.agent);
    await letTimePass(server, made.workflow);
    await eventually(async () =>
      expect((await runsOf(server, made.workflow)).map(({ status }) => status)).toEqual(expected),
    );
    await eventually(async () =>
      expect(Date.parse((await getWorkflow(server, made.workflow.id)).scheduled_at)).toBeGreaterThan(Date.now()),
    );
    expect((await runsOf(server, made.workflow)).map(({ status }) => status)).toEqual(expected);
    return { ...made, first: first.run, held: held! };
  }

  it('is left out with overlap skip', async () => {
    await secondTick('skip', ['running']);
  });

  it('starts a run beside it with overlap allow, also when people ask for it', async () => {
    const { agent, workflow, held } = await secondTick('allow', ['running', 'running']);

    const third = await execute(server, workflow.id);
    await complete(server, held);
    const others = await lease(server, agent, { max_tasks: 5 });
    for (const each of others) await complete(server, each);

    expect(third.status).toBe(202);
    expect((await runsOf(server, workflow)).map(({ status }) => status)).toEqual(Array(3).fill('completed'));
  });

  it('cancels it with overlap cancel', async () => {
    const { first, held } = await secondTick('cancel', ['cancelled', 'running']);

    const [task] = await tasksOf(server, first.id);
    expect(task).toMatchObject({ id: held.task.id, cancel_requested: true });
  });

  it('waits for its end with overlap queue, and no more than one does', async () => {
    const { agent, workflow, held } = await secondTick('queue', ['running', 'scheduled']);
    await letTimePass(server, workflow);
    await eventually(async () =>
      expect(Date.parse((await getWorkflow(server, workflow.id)).scheduled_at)).toBeGreaterThan(Date.now()),
    );
    expect(await runsOf(server, workflow)).toHaveLength(2);
    expect(await execute(server, workflow.id)).toMatchObject({ status: 409, body: { code: 'workflow_is_running' } });

    await complete(server, held);

    await eventually(async () =>
      expect((await runsOf(server, workflow)).map(({ status }) => status)).toEqual(['completed', 'running']),
    );
    const [next] = await lease(server, agent);
    await complete(server, next!);
    expect((await runsOf(server, workflow)).map(({ status }) => status)).toEqual(['completed', 'completed']);
  });

  it('does not disturb a run that is planned for later', async () => {
    const { workflow } = await scheduled('skip');
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    const { body: planned } = await execute(server, workflow.id, { scheduled_at: inAnHour });
    await letTimePass(server, workflow);

    await eventually(async () => expect(await runsOf(server, workflow)).toHaveLength(2));

    expect((await runsOf(server, workflow)).map(({ status }) => status)).toEqual(['scheduled', 'running']);
    await act(server, planned.run.id, 'cancel');
  });
});

describe('with two servers', () => {
  it('each tick starts one run', async () => {
    const nodes = await Nodes.prepare();
    const [one, two] = [await nodes.start(), await nodes.start()];
    const { body: workflow } = await one.post('/api/v1/workflows', {
      name: 'Shared',
      steps: [{ key: 'a' }],
      schedule: { ...MONTHLY, overlap: 'allow' },
    });

    for (let tick = 1; tick <= 5; tick++) {
      await letTimePass(one, workflow);
      await Promise.all([one, two, one, two].map((node) => node.app.get(WorkflowSchedules).tick()));
      expect(await runsOf(one, workflow)).toHaveLength(tick);
    }
    await nodes.close();
  });
});
