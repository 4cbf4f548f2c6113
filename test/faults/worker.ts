import { FlightdeckAgent } from '@flightdeck/client';
import { randomOf } from './random.js';
import { recordingFetch } from './recording-fetch.js';

/** The shortest that the server allows, so that the tests are short. */
export const LEASE_SECONDS = 5;
/** Handlers fail this often in a first attempt. */
const FAILING = 0.03;

export interface WorkerOptions {
  url: string;
  key: string;
  file: string;
  seed: string;
  /** How long a task takes at most. */
  work_ms: number;
  /** Called when the work on a task is done and its result not yet given: the so many-th time that it is. */
  onDone?: (count: number, task_id: string) => void;
}

/** An agent of the load: it works for a moment, fails now and then, and notes all its calls. */
export function startWorker({ url, key, file, seed, work_ms, onDone }: WorkerOptions): FlightdeckAgent {
  let done = 0;
  return new FlightdeckAgent({
    url,
    key,
    type: 'worker',
    concurrency: 2,
    leaseSeconds: LEASE_SECONDS,
    fetch: recordingFetch(key, file),
    onReport: () => undefined,
    handler: async ({ id, attempt }) => {
      const random = randomOf(`${seed} ${id} ${attempt}`);
      await new Promise((resolve) => setTimeout(resolve, random() * work_ms));
      if (attempt === 1 && random() < FAILING) throw new Error('It did not work out');
      onDone?.(++done, id);
      return { by: key, attempt, number: random() };
    },
  });
}
