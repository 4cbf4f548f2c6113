import { Api } from './api.js';
import { checkAnalyses, scanOf } from './check.js';
import type { Cleanup } from './cleanup.js';
import { type AgentTypes, demoWorkflow, STEP_KEYS } from './demo-workflow.js';
import { countOf, type Display } from './display.js';
import type { Fleet } from './fleet.js';
import { endOf, Progress, type RunEnd } from './progress.js';
import type { Run, Workflow } from './resources.js';
import { type RunEvent, RunEvents } from './run-events.js';

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
  const api = new Api(url);
  const events = new RunEvents(url);
  cleanup.add(async () => events.close());

  const workflow = await api.post<Workflow>('/api/v1/workflows', demoWorkflow(name, types), { creates: true });
  await events.markPosition();
  const { run } = await api.post<{ run: Run }>(
    `/api/v1/workflows/${workflow.id}/execute`,
    { input: { folder, report_path: reportPath } },
    { creates: true },
  );
  display.say(`Run ${run.id} of the workflow "${workflow.name}"`);
  let end: RunEnd | null = null;
  cleanup.add(async () => {
    // Interrupted: nobody would do the rest.
    if (end === null) await api.post(`/api/v1/runs/${run.id}/cancel`, {}, { signal: AbortSignal.timeout(2_000) });
  });

  const progress = new Progress(STEP_KEYS);
  display.show(progress.steps);
  end = await Promise.race([follow(events, run.id, progress, display), events.failure]);
  display.finish();
  await conclude(api, await api.get<Run>(`/api/v1/runs/${run.id}`), end, progress, options);
}

/** Listens until the run has ended. */
function follow(events: RunEvents, runId: string, progress: Progress, display: Display): Promise<RunEnd> {
  return new Promise((resolve, reject) => {
    const silence = setTimeout(() => reject(new Error('Nothing has been heard of the run for 2 minutes.')), SILENCE_MS);
    const hear = (event: RunEvent) => {
      silence.refresh();
      const step = progress.apply(event);
      if (step) display.update(step);
      const end = endOf(event);
      if (end === null) return;
      clearTimeout(silence);
      resolve(end);
    };
    events.follow(runId, hear).catch(reject);
  });
}

async function conclude(api: Api, run: Run, end: RunEnd, progress: Progress, options: DemoOptions): Promise<void> {
  const { display, fleet, mayCrash, reportPath } = options;
  if (end !== 'run_completed') {
    const reasons = run.steps.filter(({ error }) => error !== null).map(({ key, error }) => `${key}: ${textOf(error)}`);
    throw new Error([`The run ended with ${end}.`, ...reasons].join('\n  '));
  }
  const { is_truncated } = scanOf(run);
  const check = await checkAnalyses(api, run);
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
