import { setTimeout as sleep } from 'node:timers/promises';
import { type AgentReport, printReport } from './agent-report.js';
import { type ClientOptions, createClient, type FlightdeckClient } from './client.js';
import { HeldTask } from './held-task.js';
import { persist } from './persistent-call.js';
import { type AgentDescription, register } from './registration.js';
import type { Agent, LeasedTask } from './resources.js';
import { ServerClock } from './server-clock.js';
import type { Handler } from './task-work.js';

const LEASE_SECONDS = 12;
const WAIT_SECONDS = 20;
const MOST_TASKS_PER_LEASE = 100;
const HEARTBEAT_SECONDS = 4;
const STOP_TIMEOUT_SECONDS = 10;
/** How long a handler has to end after its signal, and how long the server has to hear of it, when the agent stops. */
const ABORT_GRACE_MS = 1_000;
const DELIVERY_GRACE_MS = 4_000;
const FAREWELL_MS = 2_000;
/** How long a request for work that is under way when the agent stops may still be answered: what it got is given back. */
const LAST_ANSWER_MS = 250;
/** An answer that is sooner than this did not wait: the server is stopping, or the agent drained. */
const SOON_MS = 500;
const LONGEST_NETWORK_MS = 10_000;

/** What else the server shall know of the agent. */
export type AgentProfile = Partial<
  Omit<AgentDescription, 'key' | 'type' | 'agent_type' | 'max_concurrent_tasks' | 'status'>
>;

export interface AgentOptions extends Omit<ClientOptions, 'retries' | 'timeoutMs'> {
  /** The agent's own name for machines: by it a restarted process finds itself again. One process per key. */
  key: string;
  /** What kind of tasks it does: those with this `agent_type`, and those for anyone. */
  type: string;
  handler: Handler;
  /** How many tasks it does at once; 1 by default. */
  concurrency?: number;
  /** Name (the key by default), capabilities, tags and the rest. */
  profile?: AgentProfile;
  /** How long a lease lasts after each renewal, 5-3600; 12 by default. So long a killed agent keeps its tasks. */
  leaseSeconds?: number;
  /** How long {@link FlightdeckAgent.stop} waits for running tasks before it gives them back; 10 by default. */
  stopTimeoutSeconds?: number;
  /** Told what an operator may want to know; by default it is printed to standard error. */
  onReport?: (report: AgentReport) => void;
}

/**
 * A worker: registers, leases tasks and keeps their leases, gives their results. A server that is away is asked again,
 * with growing pauses and jitter, until it is back; running tasks go on meanwhile.
 */
export class FlightdeckAgent {
  /**
   * Settles when the agent has stopped and holds nothing any more. Rejects with a FlightdeckError when the server refuses
   * to give it work for good, for example as the agent was deleted.
   */
  readonly ended: Promise<void>;
  private readonly client: FlightdeckClient;
  private readonly clock = new ServerClock();
  private readonly held = new Map<string, { task: HeldTask; work: Promise<void> }>();
  private readonly stopping = new AbortController();
  /** Aborted shortly after `stopping`. */
  private readonly leaving = new AbortController();
  private readonly gaveUp = new AbortController();
  private readonly report: (report: AgentReport) => void;
  private readonly leaseSeconds: number;
  private readonly concurrency: number;
  private started: Promise<Agent> | null = null;
  private end: (life: void | Promise<void>) => void = () => undefined;

  constructor(private readonly options: AgentOptions) {
    this.client = createClient(options);
    this.concurrency = options.concurrency ?? 1;
    this.leaseSeconds = options.leaseSeconds ?? LEASE_SECONDS;
    this.report = options.onReport ?? printReport;
    this.ended = new Promise((resolve) => (this.end = resolve));
  }

  /** How many tasks it does now. */
  get running(): number {
    return this.held.size;
  }

  /** Works until it is stopped. Rejects with a FlightdeckError when the server refuses the agent. */
  async run(): Promise<void> {
    await this.start();
    await this.ended;
  }

  /** Registers the agent and begins to work. Waits for a server that is away; rejects when it refuses the agent. */
  start(): Promise<Agent> {
    this.started ??= this.begin();
    return this.started;
  }

  /**
   * Takes no more tasks, waits for the running ones up to `stopTimeoutSeconds`, aborts the signals of those that are left
   * and gives them back. Resolves when all is done; safe to call again.
   */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('The agent stops'));
    setTimeout(() => this.leaving.abort(this.stopping.signal.reason), LAST_ANSWER_MS).unref();
    if (!this.started) return;
    await this.started.catch(() => undefined);
    await this.ended.catch(() => undefined);
  }

  private async begin(): Promise<Agent> {
    const { key, type, profile } = this.options;
    const { signal } = this.stopping;
    const description = { name: key, ...profile, key, type, max_concurrent_tasks: this.concurrency };
    try {
      const agent = await this.persist(() => register(this.client, description, { retries: 0, signal }));
      this.end(this.live(agent.id));
      return agent;
    } catch (error) {
      this.end();
      throw error;
    }
  }

  private async live(id: string): Promise<void> {
    const over = new AbortController();
    const heartbeats = this.sendHeartbeats(id, over.signal);
    try {
      await this.serve(id);
    } finally {
      await this.letGo();
      over.abort();
      await heartbeats;
      await this.sayFarewell(id);
    }
  }

  /** Keeps its slots full until it is told to stop. */
  private async serve(id: string): Promise<void> {
    const { signal } = this.stopping;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      const free = this.concurrency - this.held.size;
      if (free === 0) await Promise.race([stopped, ...Array.from(this.held.values(), ({ work }) => work)]);
      else for (const leased of await this.lease(id, Math.min(free, MOST_TASKS_PER_LEASE))) this.take(leased);
    }
  }

  private async lease(agent_id: string, max_tasks: number): Promise<LeasedTask[]> {
    const { signal } = this.stopping;
    const body = { agent_id, max_tasks, wait_seconds: WAIT_SECONDS, lease_seconds: this.leaseSeconds };
    const timeoutMs = WAIT_SECONDS * 1000 + LONGEST_NETWORK_MS;
    const askedAt = performance.now();
    try {
      const leased = await this.persist(() =>
        this.client.post('/api/v1/tasks/lease', { body, retries: 0, timeoutMs, signal: this.leaving.signal }),
      );
      const wasSoon = performance.now() - askedAt < SOON_MS;
      if (leased.length === 0 && wasSoon) await sleep(SOON_MS * (0.5 + Math.random()), undefined, { signal });
      return leased;
    } catch (error) {
      if (signal.aborted) return [];
      throw error;
    }
  }

  private take(leased: LeasedTask): void {
    const { client, clock, leaseSeconds: lease_seconds, report } = this;
    const { id } = leased.task;
    const task = new HeldTask(leased, { client, clock, lease_seconds, report, gaveUp: this.gaveUp.signal });
    // A task that was lost may be leased again while its former handler still ends.
    const slot = `${id} ${leased.lease.token}`;
    if (this.stopping.signal.aborted) task.release();
    const handler: Handler = this.stopping.signal.aborted ? () => undefined : this.options.handler;
    // Not at once: the handler finds the task among the running ones.
    const work = Promise.resolve()
      .then(() => task.work(handler))
      .finally(() => this.held.delete(slot));
    this.held.set(slot, { task, work });
  }

  /** Says that it is alive, and hears which tasks it should stop. */
  private async sendHeartbeats(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sentAt = Date.now();
      const call = { params: { path: { id } }, body: {}, retries: 0, timeoutMs: HEARTBEAT_SECONDS * 1000, signal };
      // A server that is away is noticed where work is asked for.
      const heard = await this.client.post('/api/v1/agents/{id}/heartbeat', call).catch(() => null);
      if (heard) {
        this.clock.note(heard.timestamp, sentAt);
        for (const task_id of heard.cancel_requested) this.cancel(task_id);
      }
      const pause = HEARTBEAT_SECONDS * 1000 * (0.8 + 0.4 * Math.random());
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }

  private cancel(task_id: string): void {
    for (const [slot, { task }] of this.held) if (slot.startsWith(task_id)) task.abort('cancel_requested');
  }

  /** Waits for what it holds, then gives back what is left. */
  private async letGo(): Promise<void> {
    const { stopTimeoutSeconds = STOP_TIMEOUT_SECONDS } = this.options;
    if (await this.isEmptyWithin(stopTimeoutSeconds * 1000)) return;
    for (const { task } of this.held.values()) task.abort('agent_stopping');
    if (await this.isEmptyWithin(ABORT_GRACE_MS)) return;
    for (const { task } of this.held.values()) task.release();
    if (await this.isEmptyWithin(DELIVERY_GRACE_MS)) return;
    this.gaveUp.abort(new Error('The agent stopped before the server could be told'));
    await Promise.all(Array.from(this.held.values(), ({ work }) => work));
  }

  private async isEmptyWithin(ms: number): Promise<boolean> {
    const over = new AbortController();
    const empty = Promise.all(Array.from(this.held.values(), ({ work }) => work)).then(() => true);
    const isEmpty = await Promise.race([empty, sleep(ms, false, { signal: over.signal }).catch(() => false)]);
    over.abort();
    return isEmpty;
  }

  private async sayFarewell(id: string): Promise<void> {
    const call = { params: { path: { id } }, body: { status: 'offline' as const }, retries: 0, timeoutMs: FAREWELL_MS };
    // Otherwise its silence says it.
    await this.client.patch('/api/v1/agents/{id}/status', call).catch(() => undefined);
  }

  private persist<T>(call: () => Promise<T>): Promise<T> {
    return persist(call, {
      signal: this.stopping.signal,
      onAway: (error) => this.report({ kind: 'server_away', error }),
    });
  }
}
