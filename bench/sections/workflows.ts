import { Fleet } from '../fleet.js';
import { atLeast } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { inTurnsWarmedUp, type Pair } from '../in-turns.js';
import { load, type Load } from '../load.js';
import { percentilesOf } from '../percentile.js';
import type { ServerProcess } from '../server-process.js';
import type { Stage } from '../stage.js';
import { loadRows, type Row } from '../table.js';
import { createTwoStepWorkflow, execute, type Leased, newName } from '../work.js';

/** Runs under way at once, on both sides. */
const RUNS_AT_ONCE = 20;
const AGENTS = 4;
const TASKS_AT_ONCE = 10;

/**
 * DBOS: one POST for each workflow, answered when it has ended; its steps are functions in the server's process. Ours: one
 * POST to execute it, and agents that lease both steps and complete them over HTTP; it has ended when the second step's
 * completion is answered, as the run ends in that transaction.
 */
export async function workflows(stage: Stage): Promise<Row[]> {
  const sides: Pair<ServerProcess> = { ours: await stage.ours(), bare: await stage.dbos() };
  const loads = await inTurnsWarmedUp(sides, stage.scale.seconds, ({ program, url }, seconds) =>
    program === 'dbos'
      ? load(url, { method: 'POST', path: '/' }, { connections: RUNS_AT_ONCE, seconds })
      : twoStepRuns(url, seconds),
  );
  return loadRows('two-step workflows (baseline: DBOS)', loads, { ratio: atLeast(1.1) });
}

export async function twoStepRuns(url: string, seconds: number): Promise<Load> {
  const client = new HttpClient(url, RUNS_AT_ONCE);
  const agent_type = newName();
  const endings = new Endings();
  const onCompleted = ({ task }: Leased): void => {
    if (task.step_key === 'two') endings.note(task.run_id!);
  };
  // A workflow runs once at a time, so each line has its own.
  const ids = await Promise.all(Array.from({ length: RUNS_AT_ONCE }, () => createTwoStepWorkflow(client, agent_type)));
  const fleet = await Fleet.start(url, {
    agents: AGENTS,
    agent_type,
    max_tasks: TASKS_AT_ONCE,
    together: true,
    onCompleted,
  });
  const times: number[] = [];
  const begin = performance.now();
  const runOnLine = async (workflow_id: string): Promise<string> => {
    let run_id = '';
    for (let started = begin; started < begin + seconds * 1000;) {
      run_id = await execute(client, workflow_id);
      await endings.of(run_id);
      const ended = performance.now();
      times.push(ended - started);
      started = ended;
    }
    return run_id;
  };
  const last = await fleet.until(Promise.all(ids.map(runOnLine)));
  const elapsed = (performance.now() - begin) / 1000;
  await fleet.stop();
  for (const id of last) await assertCompleted(client, id);
  client.close();
  const [p50, p99] = percentilesOf(times, 50, 99);
  return { per_second: times.length / elapsed, p50: p50!, p99: p99! };
}

async function assertCompleted(client: HttpClient, run_id: string): Promise<void> {
  const { status } = await client.call<{ status: string }>('GET', `/api/v1/runs/${run_id}`);
  if (status !== 'completed') throw new Error(`The run ${run_id} is ${status}`);
}

/** An agent may be told of the end of a run before its starter has the run's id. */
class Endings {
  private readonly noted = new Set<string>();
  private readonly waiting = new Map<string, () => void>();

  of(run_id: string): Promise<void> {
    if (this.noted.delete(run_id)) return Promise.resolve();
    return new Promise((resolve) => this.waiting.set(run_id, resolve));
  }

  note(run_id: string): void {
    const resolve = this.waiting.get(run_id);
    if (!resolve) this.noted.add(run_id);
    this.waiting.delete(run_id);
    resolve?.();
  }
}
