import { createClient, type FlightdeckClient, type FlightdeckEvent, type Run, type Watch } from '@flightdeck/client';
import { checkAnalyses, scanOf } from './check.js';
import type { Cleanup } from './cleanup.js';
import { type AgentTypes, demoWorkflow, STEP_KEYS } from './demo-workflow.js';
import { countOf, type Display } from './display.js';
import type { Fleet } from './fleet.js';
import { endOf, Progress, type RunEnd } from './progress.js';

const SHOWN_PROBLEMS = 10;
/** No step is silent for so long, not even while a lost lease runs out. */
const SILENCE_MS = 120_000;

interface DemoOptions {
  url: string;
  types: AgentTypes;
  name: string;
  folder: string;
  reportPath: string;
  display: Display;
  fleet: Fleet;
  mayCrash: boolean;
}

/** Registers the workflow, executes it, shows how it goes, and checks the result. Throws when anything is wrong. */
export async function runDemo(cleanup: Cleanup, options: DemoOptions): Promise<void> {
  const { url, types, name, folder, reportPath, display } = options;
  const client = createClient({ url });
  const workflow = await client.post('/api/v1/workflows', { body: demoWorkflow(name, types) });
  const progress = new Progress(STEP_KEYS);
  const { watch, ended } = follow(client, workflow.id, progress, display);
  cleanup.add(async () => watch.close());
  // Before the run begins, so that nothing of it is missed.
  await watch.ready;
  const { run } = await client.post('/api/v1/workflows/{id}/execute', {
    params: { path: { id: workflow.id } },
    body: { input: { folder, report_path: reportPath } },
  });
  display.say(`Run ${run.id} of the workflow "${workflow.name}"`);
  const ofRun = { params: { path: { id: run.id } } };
  let end: RunEnd | null = null;
  cleanup.add(async () => {
    // Interrupted: nobody would do the rest.
    if (end === null) await client.post('/api/v1/runs/{id}/cancel', { ...ofRun, retries: 0, timeoutMs: 2_000 });
  });

  display.show(progress.steps);
  end = await ended;
  display.finish();
  await conclude(client, await client.get('/api/v1/runs/{id}', ofRun), end, progress, options);
}

/** Listens until the workflow's only run has ended. */
function follow(
  client: FlightdeckClient,
  workflowId: string,
  progress: Progress,
  display: Display,
): { watch: Watch; ended: Promise<RunEnd> } {
  let watch!: Watch;
  const ended = new Promise<RunEnd>((resolve, reject) => {
    const silence = setTimeout(
      () => reject(new Error('Nothing has been heard of the run for 2 minutes.')),
      SILENCE_MS,
    ).unref();
    const onEvent = (event: FlightdeckEvent) => {
      silence.refresh();
      const step = progress.apply(event);
      if (step) display.update(step);
      const end = endOf(event);
      if (end !== null) resolve(end);
    };
    const onGap = () => reject(new Error('Some events of the run are gone'));
    watch = client.watch(`workflow:${workflowId}`, { onEvent, onGap });
    watch.closed.catch(reject);
  });
  // Whoever awaits it hears of it; until then the start of the run may fail for the same reason.
  ended.catch(() => undefined);
  return { watch, ended };
}

async function conclude(
  client: FlightdeckClient,
  run: Run,
  end: RunEnd,
  progress: Progress,
  options: DemoOptions,
): Promise<void> {
  const { display, fleet, mayCrash, reportPath } = options;
  if (end !== 'run_completed') {
    const reasons = run.steps.filter(({ error }) => error !== null).map(({ key, error }) => `${key}: ${textOf(error)}`);
    throw new Error([`The run ended with ${end}.`, ...reasons].join('\n  '));
  }
  const { is_truncated } = scanOf(run);
  const check = await checkAnalyses(client, run);
  if (is_truncated) display.say(`The folder holds more: only its first ${check.files} files were taken.`);
  if (mayCrash && fleet.crashed === null) display.say('No analyst crashed: there were too few files for it.');
  if (check.problems.length > 0) {
    throw new Error(['The check failed:', ...check.problems.slice(0, SHOWN_PROBLEMS)].join('\n  '));
  }
  const { files, attempts, repeated } = check;
  display.say(
    `Check: ${countOf(files, 'file')}, each analysed exactly once, in ${countOf(attempts, 'attempt')}` +
      (repeated.length > 0 ? ` (again: ${repeated.slice(0, SHOWN_PROBLEMS).join(', ')})` : ''),
  );
  const seconds = (Date.parse(run.completed_at ?? '') - Date.parse(run.started_at ?? '')) / 1000;
  const { tasksCompleted, busiestSecond } = progress;
  display.say(`Report: ${reportPath}`);
  display.say(
    `Run: ${seconds.toFixed(1)} s, ${countOf(tasksCompleted, 'task')}, ` +
      `${(tasksCompleted / seconds).toFixed(1)} tasks per second (${busiestSecond} in the busiest second)`,
  );
}

const textOf = (error: { message?: string } | string | null): string =>
  typeof error === 'string' ? error : (error?.message ?? JSON.stringify(error));
