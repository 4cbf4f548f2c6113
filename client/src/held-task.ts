import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentReport } from './agent-report.js';
import { Backoff } from './backoff.js';
import type { FlightdeckClient } from './client.js';
import { FlightdeckError } from './flightdeck-error.js';
import { persist } from './persistent-call.js';
import type { LeasedTask, Task } from './resources.js';
import type { ServerClock } from './server-clock.js';
import { failure, type Outcome, outcomeOf } from './task-outcome.js';
import { type AbortCode, type Handler, TaskAborted } from './task-work.js';

/** A lease is renewed when so much of it is left, so that two renewals may fail. */
const RENEWALS_PER_LEASE = 3;
/** Clocks that nobody can explain must not make it renew without a pause. */
const MOST_RENEWALS_PER_LEASE = 12;
const PROGRESS_EVERY_MS = 250;
const LONGEST_PAUSE_MS = 1_000;

export interface HoldOptions {
  client: FlightdeckClient;
  clock: ServerClock;
  lease_seconds: number;
  /** Aborted when nothing can be delivered any more. */
  gaveUp: AbortSignal;
  report: (report: AgentReport) => void;
}

/** A task in this agent's hands, from its lease to the server's word on its result. */
export class HeldTask {
  private readonly task: Task;
  private readonly lease_token: string;
  private readonly aborting = new AbortController();
  private readonly settling = new AbortController();
  private readonly renewal = new Backoff(undefined, LONGEST_PAUSE_MS);
  private lost: FlightdeckError | null = null;
  private progress_percentage: number | undefined;
  /** Renews before it is due. */
  private hurry: () => void = () => undefined;
  private letGo: (outcome: Outcome) => void = () => undefined;
  private readonly lettingGo = new Promise<Outcome>((resolve) => (this.letGo = resolve));

  constructor(
    private readonly leased: LeasedTask,
    private readonly options: HoldOptions,
  ) {
    this.task = leased.task;
    this.lease_token = leased.lease.token;
  }

  /** Does the task and hands in the result. Never rejects. */
  async work(handler: Handler): Promise<void> {
    const keeping = this.keepLease();
    const outcome = await Promise.race([this.attempt(handler), this.lettingGo]);
    await this.handIn(outcome);
    this.settling.abort();
    await keeping;
  }

  /** Asks the handler to stop. */
  abort(code: AbortCode, cause?: unknown): void {
    this.aborting.abort(new TaskAborted(code, this.task.id, { cause }));
  }

  /** Gives the task back, whatever the handler is doing. */
  release(): void {
    this.letGo({ action: 'release' });
  }

  private async attempt(handler: Handler): Promise<Outcome> {
    const { signal } = this.aborting;
    try {
      const output = await handler(this.task, { signal, progress: (percentage) => this.noteProgress(percentage) });
      return { action: 'complete', output: output ?? null };
    } catch (error) {
      const outcome = outcomeOf(error, signal);
      if (outcome.action === 'fail') this.options.report({ kind: 'task_failed', task: this.task, error });
      return outcome;
    }
  }

  private noteProgress(percentage: number): void {
    if (!(percentage >= 0 && percentage <= 100))
      throw new RangeError(`A progress of ${percentage} is not within 0-100`);
    this.progress_percentage = percentage;
    this.hurry();
  }

  private async handIn(outcome: Outcome): Promise<void> {
    const { report } = this.options;
    try {
      if (this.lost) throw this.lost;
      await this.deliver(outcome);
    } catch (error) {
      if (isLeaseLost(error)) report({ kind: 'result_refused', task: this.task, error, outcome });
      else if (this.options.gaveUp.aborted) report({ kind: 'result_undelivered', task: this.task, error, outcome });
      else await this.handInRefusal(outcome, error);
    }
  }

  /** What the server cannot take (too large, no JSON) would be no better next time: the task fails with the reason. */
  private async handInRefusal(outcome: Outcome, error: unknown): Promise<void> {
    const { report } = this.options;
    if (error instanceof FlightdeckError) report({ kind: 'result_refused', task: this.task, error, outcome });
    else report({ kind: 'task_failed', task: this.task, error });
    if (outcome.action !== 'complete') return;
    const refusal = failure(error, false);
    await this.deliver(refusal).catch((error: unknown) =>
      report({ kind: 'result_undelivered', task: this.task, error, outcome: refusal }),
    );
  }

  private async deliver({ action, ...result }: Outcome): Promise<void> {
    const { client, gaveUp, report } = this.options;
    const body = { lease_token: this.lease_token, ...result };
    const call = { params: { path: { id: this.task.id } }, retries: 0, signal: gaveUp };
    await persist(
      async (): Promise<unknown> => {
        if (action === 'release') return client.post('/api/v1/tasks/{id}/lease/release', { ...call, body });
        if (action === 'complete') return client.post('/api/v1/tasks/{id}/lease/complete', { ...call, body });
        const failed = body as typeof body & Extract<Outcome, { action: 'fail' }>;
        return client.post('/api/v1/tasks/{id}/lease/fail', { ...call, body: failed });
      },
      { signal: gaveUp, onAway: (error) => report({ kind: 'server_away', error }) },
    );
  }

  /** Renews the lease until the result is settled or the lease is lost. */
  private async keepLease(): Promise<void> {
    const { signal } = this.settling;
    let pause = this.untilDue(this.leased.lease.expires_at);
    for (;;) {
      const over = new AbortController();
      const end = () => over.abort();
      signal.addEventListener('abort', end);
      const renewedAt = Date.now();
      this.hurry = () => {
        this.hurry = () => undefined;
        void sleep(renewedAt + PROGRESS_EVERY_MS - Date.now()).then(end);
      };
      await sleep(pause, undefined, { signal: over.signal }).catch(() => undefined);
      this.hurry = () => undefined;
      signal.removeEventListener('abort', end);
      if (signal.aborted) return;
      const next = await this.renew();
      if (next === null) return;
      pause = next;
    }
  }

  /** Resolves with the pause before the next renewal; with null when there is nothing left to renew. */
  private async renew(): Promise<number | null> {
    const { client, lease_seconds } = this.options;
    const { progress_percentage } = this;
    this.progress_percentage = undefined;
    try {
      const { expires_at, cancel_requested } = await client.post('/api/v1/tasks/{id}/lease/heartbeat', {
        params: { path: { id: this.task.id } },
        body: { lease_token: this.lease_token, lease_seconds, progress_percentage },
        retries: 0,
        timeoutMs: (lease_seconds * 1000) / RENEWALS_PER_LEASE,
        signal: this.settling.signal,
      });
      this.renewal.reset();
      if (cancel_requested) this.abort('cancel_requested');
      return this.untilDue(expires_at);
    } catch (error) {
      if (this.settling.signal.aborted) return null;
      if (!isLeaseLost(error)) {
        this.progress_percentage ??= progress_percentage;
        return this.renewal.next();
      }
      this.lost = error;
      this.abort('lease_lost', error);
      return null;
    }
  }

  private untilDue(expires_at: string): number {
    const lease_ms = this.options.lease_seconds * 1000;
    const due = this.options.clock.msUntil(expires_at) / RENEWALS_PER_LEASE;
    return Math.min(Math.max(due, lease_ms / MOST_RENEWALS_PER_LEASE), lease_ms / RENEWALS_PER_LEASE);
  }
}

/** The token is over, or the task does not exist any more. */
const isLeaseLost = (error: unknown): error is FlightdeckError =>
  error instanceof FlightdeckError && (error.status === 409 || error.status === 404);
