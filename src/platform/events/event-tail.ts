import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '../database/database.js';
import { CommitSignal } from './commit-signal.js';
import { EventHandlers, type LiveHandler, matches } from './handlers.js';
import { type Batch, EventLog } from './event-log.js';
import { LogChannel } from './log-channel.js';
import type { LoggedEvent } from './logged-event.js';
import { type Position, START } from './position.js';
import { AT_ONCE, type Rest, WokenLoop } from './woken-loop.js';

const BATCH = 500;
/** While an earlier transaction holds rows back, look again after this long, at first and at most. */
const HELD_BACK_MS = { first: 4, most: 250 };
/** Against a lost notification only. */
const LOOK_ANYWAY: Rest = { ms: 5_000 };
/** Under load one look serves all commits of this long; the first one after a pause is seen at once. */
const GATHER_MS = 3;
const AFTER_FAILURE: Rest = { ms: 1_000, is_firm: true };
/** After how long, at least, it is told that something has happened whose order is open; and how often that there is much. */
const UNSETTLED_MS = { early: 20, guess: 250 };

/** What one look at the log has shown. */
export interface Look extends Pick<Batch, 'events' | 'unsettled' | 'is_whole'> {
  /** By `performance.now()`: what was committed before it has been seen. */
  began_at: number;
}

interface Waiting {
  moment: number;
  resolve: () => void;
}

/** Follows the log from the moment this node started, and calls its `@Live` handlers in the log's order. */
@Injectable()
export class EventTail implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(EventTail.name);
  private readonly listeners = new Set<(events: readonly LoggedEvent[]) => void>();
  private readonly lookListeners = new Set<(look: Look) => void>();
  /** Whose handlers are not kept waiting, and what they do when there is too much to tell. */
  private readonly early = new Map<object, () => void>();
  /** By id, since when they were found so; Infinity: they have been told. */
  private unsettledSince = new Map<string, number>();
  private guessedAt = -Infinity;
  private readonly onDemand = new Map<string, () => boolean>();
  private current: Position = START;
  private foundAt = 0;
  private heldBackMs = HELD_BACK_MS.first;
  private heldBack = false;
  private readonly loop = new WokenLoop(() => this.look());
  /** When the look began that is under way, or was the last one. */
  private beganAt = -Infinity;
  private isLooking = false;
  /** Who waits for the end of a look that begins, or began, after a moment. */
  private waiting: Waiting[] = [];

  constructor(
    private readonly log: EventLog,
    private readonly handlers: EventHandlers,
    private readonly commits: CommitSignal,
    private readonly channel: LogChannel,
    private readonly database: Database,
  ) {}

  /** A transaction that runs long keeps later events from being told. */
  get is_held_back(): boolean {
    return this.heldBack;
  }

  /** All events up to here have been handed to the live handlers of this node. */
  get position(): Position {
    return this.current;
  }

  /** Called with each batch after the live handlers. */
  onBatch(listener: (events: readonly LoggedEvent[]) => void): void {
    this.listeners.add(listener);
  }

  /** Called after each look that found out how the log is, also when there was nothing new. */
  onLook(listener: (look: Look) => void): void {
    this.lookListeners.add(listener);
  }

  /**
   * The live handlers of this instance are also told of events that have happened while their order is open, as a
   * transaction runs long: each once, and later again as all others. `guess` is called instead, again and again, while
   * there are more than one look shows.
   */
  tellEarly(instance: object, guess: () => void): void {
    this.early.set(instance, guess);
  }

  /** Events of this type are told only while it is wanted: there may be as many as requests. */
  tellOnDemand(type: string, isWanted: () => boolean): void {
    this.onDemand.set(type, isWanted);
  }

  async onApplicationBootstrap(): Promise<void> {
    this.current = await this.log.end();
    this.commits.onCommit(() => this.wake());
    if (!this.database.is_embedded) {
      this.commits.onCommit(() => this.channel.announce());
      this.channel.onAnnounced(() => this.wake());
    }
    this.wake();
  }

  async onModuleDestroy(): Promise<void> {
    await this.loop.stop();
    for (const { resolve } of this.waiting) resolve();
  }

  wake(): void {
    this.loop.wake();
  }

  /** Resolves when all that was final at this call has been told, as far as the log can be read. */
  upToDate(): Promise<void> {
    return this.lookAfter(performance.now());
  }

  /** The same of what was final at a moment (by `performance.now()`): the look that is under way may be enough. */
  lookAfter(moment: number): Promise<void> {
    if (this.loop.is_stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push({ moment, resolve });
      if (!this.isLooking || this.beganAt <= moment) this.wake();
    });
  }

  private async look(): Promise<Rest> {
    const gather = this.foundAt + GATHER_MS - performance.now();
    if (gather > 0) await sleep(gather);
    const began_at = performance.now();
    this.beganAt = began_at;
    this.isLooking = true;
    let isOver = true;
    try {
      let batch = await this.read();
      // Somebody has come meanwhile, to whom all after this position was promised.
      while (batch.untold.length > this.unwanted().length) batch = await this.read();
      const { events, is_held_back, untold } = batch;
      this.tell(events, untold);
      if (batch.unsettled.length > 0 || this.unsettledSince.size > 0) this.tellUnsettled(batch);
      for (const listener of this.lookListeners) listener({ ...batch, began_at });
      isOver = events.length < BATCH;
      this.heldBackMs =
        is_held_back && events.length === 0 ? Math.min(this.heldBackMs * 2, HELD_BACK_MS.most) : HELD_BACK_MS.first;
      this.heldBack = is_held_back;
      if (is_held_back) return { ms: this.heldBackMs };
      if (events.length > 0) this.foundAt = performance.now();
      return isOver ? LOOK_ANYWAY : AT_ONCE;
    } catch (error) {
      this.logger.warn(`The event log cannot be read right now: ${(error as Error).message}`);
      return AFTER_FAILURE;
    } finally {
      this.isLooking = false;
      if (isOver) this.resolveUntil(began_at);
    }
  }

  private resolveUntil(began_at: number): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const one of waiting) {
      if (one.moment < began_at) one.resolve();
      else this.waiting.push(one);
    }
  }

  private async read(): Promise<Batch & { untold: readonly string[] }> {
    const untold = this.unwanted();
    return { ...(await this.log.readAfter(this.current, BATCH, untold)), untold };
  }

  private unwanted(): string[] {
    return [...this.onDemand].flatMap(([type, isWanted]) => (isWanted() ? [] : [type]));
  }

  private tell(events: LoggedEvent[], untold: readonly string[]): void {
    for (const event of events) {
      if (!untold.includes(event.type)) this.callHandlersOf(event, this.handlers.live);
      this.current = { txid: event.txid, seq: event.seq };
    }
    if (events.length > 0) for (const listener of this.listeners) listener(events);
  }

  private tellUnsettled({ unsettled, is_whole }: Batch): void {
    const now = performance.now();
    const before = this.unsettledSince;
    this.unsettledSince = new Map(unsettled.map(({ id }) => [id, before.get(id) ?? now]));
    if (!is_whole) {
      if (now - this.guessedAt < UNSETTLED_MS.guess) return;
      this.guessedAt = now;
      for (const guess of this.early.values()) guess();
      return;
    }
    const early = this.handlers.live.filter(({ instance }) => this.early.has(instance));
    for (const event of unsettled) {
      if (now - this.unsettledSince.get(event.id)! < UNSETTLED_MS.early) continue;
      this.unsettledSince.set(event.id, Infinity);
      this.callHandlersOf(event, early);
    }
  }

  private callHandlersOf(event: LoggedEvent, handlers: readonly LiveHandler[]): void {
    for (const { pattern, handle } of handlers) if (matches(pattern, event.type)) this.call(handle, event);
  }

  /** A live handler cannot fail the change: it has happened. */
  private call(handle: (event: LoggedEvent) => unknown, event: LoggedEvent): void {
    const complain = (error: unknown) => this.logger.error(`A live handler failed on ${event.type}`, error);
    try {
      const result = handle(event);
      if (result instanceof Promise) result.catch(complain);
    } catch (error) {
      complain(error);
    }
  }
}
