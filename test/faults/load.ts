import { createClient, type FlightdeckClient } from '@flightdeck/client';
import { eventually } from '../support/eventually.js';
import { randomOf } from './random.js';
import { recordingFetch } from './recording-fetch.js';

const isFull = process.env.FAULT_SIZE === 'full';
const sizeOf = (name: string, small: number, full: number): number =>
  Number(process.env[name] ?? (isFull ? full : small));

/** How much is done during each fault, and for how long new work comes. */
export const SIZE = {
  tasks: sizeOf('FAULT_TASKS', 60, 500),
  workflows: sizeOf('FAULT_WORKFLOWS', 6, 50),
  seconds: sizeOf('FAULT_SECONDS', 4, 20),
};
export const AGENTS = 4;
const STEPS = 4;
export const TASKS_IN_ALL = SIZE.tasks + STEPS * SIZE.workflows;
const CREATORS = 6;
const DEPENDENT = 0.2;
const PATIENCE_MS = 30_000 + SIZE.seconds * 6_000;
/** Faults use attempts up; none of them is reason enough to give up. */
const ATTEMPTS = { max_attempts: 100, retry: { backoff_seconds: 1, max_seconds: 1 } };

/** Creates the work in the time that a fault lasts, with retries until it is told that it is done. */
export class Load {
  private readonly clients: FlightdeckClient[];
  private readonly random: () => number;
  private readonly task_ids: string[] = [];
  private readonly run_ids: string[] = [];

  constructor(
    urls: readonly string[],
    private readonly seed: string,
    file: string,
    private readonly signal: AbortSignal,
  ) {
    this.random = randomOf(`${seed} load`);
    const fetch = recordingFetch('load', file);
    this.clients = urls.map((url) => createClient({ url, fetch, retries: Infinity, timeoutMs: 10_000 }));
  }

  async create(): Promise<void> {
    const todo = [
      ...Array.from({ length: SIZE.tasks }, (_, number) => () => this.createTask(number)),
      ...Array.from({ length: SIZE.workflows }, (_, number) => () => this.createRun(number)),
    ].map((work) => ({ work, place: this.random() }));
    todo.sort((a, b) => a.place - b.place);
    const begunAt = Date.now();
    const create = async (): Promise<void> => {
      for (let next = todo.shift(); next; next = todo.shift()) {
        const { work, place } = next;
        const wait = begunAt + place * SIZE.seconds * 1000 - Date.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        await work();
      }
    };
    await Promise.all(Array.from({ length: CREATORS }, create));
  }

  /** Waits until nothing is left to do; when that never comes, the history says what is stuck. */
  async settle(): Promise<void> {
    const isOver = eventually(async () => {
      const { by_status } = await this.client.get('/api/v1/tasks/stats/summary', { retries: 0 });
      if (by_status.completed !== TASKS_IN_ALL)
        throw new Error(`Of ${TASKS_IN_ALL} tasks: ${JSON.stringify(by_status)}`);
      for (const id of this.run_ids) {
        const { status } = await this.client.get('/api/v1/runs/{id}', {
          params: { path: { id } },
          retries: 0,
          signal: this.signal,
        });
        if (status !== 'completed') throw new Error(`Run ${id} is ${status}`);
      }
    }, PATIENCE_MS);
    await isOver.catch((error: Error) => console.log(`Not all is done: ${error.message}`));
  }

  private get client(): FlightdeckClient {
    return this.clients[Math.floor(Math.random() * this.clients.length)]!;
  }

  private async createTask(number: number): Promise<void> {
    const isDependent = this.random() < DEPENDENT && this.task_ids.length > 0;
    const dependency = this.task_ids[Math.floor(this.random() * this.task_ids.length)]!;
    const dependencies = isDependent ? { dependencies: [dependency] } : {};
    const { id } = await this.client.post('/api/v1/tasks', {
      body: { title: `Task ${number}`, agent_type: 'worker', ...ATTEMPTS, ...dependencies },
      signal: this.signal,
      idempotencyKey: `${this.seed}-task-${number}`,
    });
    this.task_ids.push(id);
  }

  /** A diamond of four steps. */
  private async createRun(number: number): Promise<void> {
    const step = (key: string, depends_on: string[]) => ({ key, depends_on, agent_type: 'worker', ...ATTEMPTS });
    const steps = [
      step('begin', []),
      step('left', ['begin']),
      step('right', ['begin']),
      step('end', ['left', 'right']),
    ];
    const { id } = await this.client.post('/api/v1/workflows', {
      body: { name: `Workflow ${number}`, steps },
      signal: this.signal,
      idempotencyKey: `${this.seed}-workflow-${number}`,
    });
    const { run } = await this.client.post('/api/v1/workflows/{id}/execute', {
      params: { path: { id } },
      body: {},
      signal: this.signal,
      idempotencyKey: `${this.seed}-run-${number}`,
    });
    this.run_ids.push(run.id);
  }
}
