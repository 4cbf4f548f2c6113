import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AgentPresence } from '../agents/agent-presence.js';
import { Environment } from '../platform/config/environment.js';
import { openScope } from '../platform/database/transaction-scope.js';
import { EventTail } from '../platform/events/event-tail.js';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { NothingYet } from '../platform/http/nothing-yet.js';
import { NextReady } from './next-ready.js';
import type { LeasedTask } from './task.sql.js';
import { type LeaseRequest, TaskDispatch, type Worker } from './task-dispatch.js';
import { TaskStatus } from './task-state.js';
import type { Wanted } from './tasks.events.js';

/** An agent that waits for work must not look silent meanwhile: so many signs come before it would. */
const SIGNS_OF_LIFE = 3;
/** Who was passed over looks again after this long, at first and at most: whoever had the task may just let go of it. */
const PASSED_OVER_MS = { first: 10, most: 250 };
const PASSED_OVER_TOGETHER = 20;
/** Of those who wait, so many look at a time when something may have become ready, and nobody knows what. */
const GUESSING = 50;

/** A task became ready; it is offered to one agent after the other, until one of them takes it. */
interface Offer {
  task_id: string;
  wanted: Wanted;
  project_id: string | null;
  /** Agents that it was offered to. */
  tried: Set<string>;
}

/** One request. */
interface Poll {
  deadline: number;
  /** As its last look saw the agent; null before the first. */
  worker: Worker | null;
  offer: Offer | null;
  /** How often in a row it found something that others had their hands on. */
  passed_over: number;
}

/** Agents in a long poll. An event wakes the one that a task could be for; nobody polls the database. */
@Injectable()
export class LeaseWaiters implements BeforeApplicationShutdown {
  private readonly waiters = new Set<Waiter>();
  private readonly logger = new Logger(LeaseWaiters.name);
  private readonly keysToOffer = new Set<string>();
  private readonly polls = new WeakMap<AbortSignal, Poll>();
  private signsOfLife: NodeJS.Timeout | null = null;
  private readonly signOfLifeMs: number;
  private isClosing = false;
  /** How many wait for what others have in their hands. */
  private passedOver = 0;

  constructor(
    private readonly dispatch: TaskDispatch,
    private readonly nextReady: NextReady,
    private readonly presence: AgentPresence,
    tail: EventTail,
    { AGENT_OFFLINE_AFTER_SECONDS }: Environment,
  ) {
    // What becomes ready is so, also while its place in the log is open: nobody waits for that.
    tail.tellEarly(this, () => this.wakeSome());
    this.signOfLifeMs = (AGENT_OFFLINE_AFTER_SECONDS * 1000) / SIGNS_OF_LIFE;
  }

  /** Leases at once, or as soon as there is something, until the time is over or the client has left. */
  async lease(request: LeaseRequest, wait_ms: number, hasLeft: AbortSignal): Promise<LeasedTask[]> {
    const first = { deadline: performance.now() + wait_ms, worker: null, offer: null, passed_over: 0 };
    const poll: Poll = this.polls.get(hasLeft) ?? first;
    this.polls.set(hasLeft, poll);
    const mayWait = (): boolean => performance.now() < poll.deadline && !this.isClosing && !hasLeft.aborted;
    let tasks: LeasedTask[] = [];
    do {
      // Waits before it looks, so that nothing becomes ready unnoticed in between.
      const waiter = mayWait() ? this.enter(request.agent_id, poll, hasLeft) : null;
      tasks = await this.look(request, poll, waiter);
      if (!waiter) break;
      if (tasks.length > 0) this.leave(waiter);
      const over = this.overOf(waiter, poll);
      // In the transaction of a request with an Idempotency-Key it would wait with a connection, embedded the only one.
      if (tasks.length === 0 && openScope()) throw new NothingYet(over);
      await over;
    } while (tasks.length === 0 && mayWait());
    if (hasLeft.aborted) tasks = await this.giveBack(tasks);
    await this.passOn(poll, tasks);
    return tasks;
  }

  private async look(request: LeaseRequest, poll: Poll, waiter: Waiter | null): Promise<LeasedTask[]> {
    try {
      if (waiter) await this.nextReady.watch(() => this.wakeAll());
      const { worker, tasks, is_passed_over } = await this.dispatch.lease(request);
      poll.worker = worker;
      waiter?.know(worker);
      poll.passed_over = is_passed_over ? poll.passed_over + 1 : 0;
      if (tasks.length === 0) await this.dispatch.noteIdle(worker, waiter !== null);
      if (is_passed_over && waiter) this.wakeSoon(waiter, poll.passed_over);
      else await this.passOn(poll, tasks);
      return tasks;
    } catch (error) {
      if (waiter) this.leave(waiter);
      for (const offer of [poll.offer, waiter?.offer]) if (offer) this.offer(offer);
      throw error;
    }
  }

  private async overOf(waiter: Waiter, poll: Poll): Promise<void> {
    await waiter.over;
    this.leave(waiter);
    if (!waiter.offer) return;
    // It still has one that it was passed over for.
    if (poll.offer) this.offer(poll.offer);
    poll.offer = waiter.offer;
  }

  beforeApplicationShutdown(): void {
    this.isClosing = true;
    if (this.signsOfLife) clearInterval(this.signsOfLife);
    this.wakeAll();
  }

  @Live('task_*')
  onTaskEvent({ type, data, task_id, project_id, created_at }: LoggedEvent): void {
    const { old_status, agent_id, wanted, concurrency_key } = data as {
      old_status?: TaskStatus;
      agent_id?: string;
      wanted?: Wanted | null;
      concurrency_key?: string | null;
    };
    if (old_status === TaskStatus.InProgress) {
      for (const waiter of this.waiters) if (waiter.agent_id === agent_id) waiter.freed();
    }
    if (type === 'task_assigned') this.wakeAll();
    // Its slot may be for another task; and a new task may have none.
    if (concurrency_key && (old_status === TaskStatus.InProgress || wanted)) void this.offerOfKey(concurrency_key);
    if (!wanted || !task_id) return;
    const ms = wanted.ready_at === null ? 0 : new Date(wanted.ready_at).getTime() - created_at.getTime();
    if (ms > 0) this.nextReady.expect(ms);
    else if (!concurrency_key) this.offer({ task_id, wanted, project_id, tried: new Set() });
  }

  /** It may do more, or other, work than before. */
  @Live('agent_updated')
  onAgentUpdated({ agent_id }: LoggedEvent): void {
    for (const waiter of this.waiters) if (waiter.agent_id === agent_id) this.leave(waiter);
  }

  /** It is told so, instead of being offered what is for others. */
  @Live('agent_deleted')
  onAgentDeleted(event: LoggedEvent): void {
    this.onAgentUpdated(event);
  }

  @Live('workflow_agent_*')
  onWorkflowAgents(): void {
    this.wakeAll();
  }

  private enter(agent_id: string, { worker, deadline }: Poll, hasLeft: AbortSignal): Waiter {
    const waiter = new Waiter(agent_id, worker, deadline - performance.now(), hasLeft);
    this.waiters.add(waiter);
    this.signsOfLife ??= setInterval(() => this.showLife(), this.signOfLifeMs).unref();
    return waiter;
  }

  private leave(waiter: Waiter): void {
    this.waiters.delete(waiter);
    waiter.wake();
  }

  private offer(offer: Offer): void {
    for (const waiter of this.waiters) {
      if (!waiter.wants(offer)) continue;
      offer.tried.add(waiter.agent_id);
      waiter.offer = offer;
      return this.leave(waiter);
    }
  }

  /** One look for all events of the same key that come meanwhile. */
  private async offerOfKey(key: string): Promise<void> {
    if (this.waiters.size === 0 || this.keysToOffer.has(key)) return;
    this.keysToOffer.add(key);
    await nextTurn();
    this.keysToOffer.delete(key);
    try {
      const workers = [...this.waiters].flatMap(({ worker }) => worker ?? []);
      for (const { id, project_id, ...wanted } of await this.dispatch.readyOfKey(key, workers)) {
        this.offer({ task_id: id, project_id, wanted: { ...wanted, ready_at: null }, tried: new Set() });
      }
    } catch (error) {
      this.logger.warn(`Tasks with the concurrency key ${key} were not offered: ${(error as Error).message}`);
    }
  }

  /** Whom it was offered to could not take it (no slot, drained, gone) or got another: then it is for the next. */
  private async passOn(poll: Poll, taken: LeasedTask[]): Promise<void> {
    const { offer } = poll;
    poll.offer = null;
    if (!offer || taken.some(({ id }) => id === offer.task_id)) return;
    // Whoever cannot be asked whether it is still there is worth a look.
    const isReady = await this.dispatch.isReady(offer.task_id).catch(() => true);
    if (isReady) this.offer(offer);
  }

  /** Those who were passed over share how often they may look, however many they are and however long it lasts. */
  private wakeSoon(waiter: Waiter, times: number): void {
    const ms = Math.min(PASSED_OVER_MS.first * 2 ** (times - 1), PASSED_OVER_MS.most);
    this.passedOver++;
    setTimeout(
      () => {
        this.passedOver--;
        waiter.wake();
      },
      ms * Math.ceil(this.passedOver / PASSED_OVER_TOGETHER),
    ).unref();
  }

  /** Nobody hears the answer any more. */
  private async giveBack(tasks: LeasedTask[]): Promise<LeasedTask[]> {
    for (const { id, lease_token } of tasks) await this.dispatch.release(id, lease_token);
    return [];
  }

  /** In turn, as who looks again comes last. */
  private wakeSome(): void {
    for (const waiter of [...this.waiters].slice(0, GUESSING)) this.leave(waiter);
  }

  private wakeAll(): void {
    for (const waiter of this.waiters) this.leave(waiter);
  }

  private showLife(): void {
    for (const { agent_id } of this.waiters) this.presence.note(agent_id);
    if (this.waiters.size > 0 || !this.signsOfLife) return;
    clearInterval(this.signsOfLife);
    this.signsOfLife = null;
  }
}

/** One look of a poll, and the wait after it if it found nothing. */
class Waiter {
  offer: Offer | null = null;
  readonly over: Promise<void>;
  wake: () => void = () => undefined;
  /** Came before it was known what the agent can do by now. */
  private heard: Offer[] = [];
  private hasLooked = false;
  private hasFreed = false;

  constructor(
    readonly agent_id: string,
    public worker: Worker | null,
    ms: number,
    hasLeft: AbortSignal,
  ) {
    this.over = new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        hasLeft.removeEventListener('abort', this.wake);
        resolve();
      };
      hasLeft.addEventListener('abort', this.wake);
    });
  }

  wants(offer: Offer): boolean {
    if (this.worker && isFor(this.worker, offer)) return true;
    if (!this.hasLooked) this.heard.push(offer);
    return false;
  }

  /** It has looked. What came meanwhile may be for it after all. */
  know(worker: Worker): void {
    this.worker = worker;
    this.hasLooked = true;
    if (this.heard.some((offer) => isFor(worker, offer))) this.wake();
    this.heard = [];
    this.wakeIfFreed();
  }

  /** A lease of the agent has ended. */
  freed(): void {
    this.hasFreed = true;
    this.wakeIfFreed();
  }

  /** Who had a slot left found nothing for it, and so would again. */
  private wakeIfFreed(): void {
    if (this.hasFreed && this.hasLooked && this.worker?.my_free_slots === 0) this.wake();
  }
}

/** Whether the agent could be given the task, as far as memory knows; the lease statement decides. */
function isFor(worker: Worker, { wanted, project_id, tried }: Offer): boolean {
  if (tried.has(worker.agent_id)) return false;
  if (wanted.agent_id !== null) return wanted.agent_id === worker.agent_id;
  return (
    (wanted.agent_type === null || wanted.agent_type === worker.my_type) &&
    (worker.my_project_id === null || worker.my_project_id === project_id) &&
    wanted.required_capabilities.every((capability) => worker.my_capabilities.includes(capability))
  );
}
