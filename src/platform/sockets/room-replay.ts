import { Injectable } from '@nestjs/common';
import type { Socket } from 'socket.io';
import { scopeOf } from '../access/socket-principal.js';
import { Environment } from '../config/environment.js';
import { Batch } from '../database/batch.js';
import { EventLog } from '../events/event-log.js';
import { EventTail } from '../events/event-tail.js';
import { EventHandlers, matches } from '../events/handlers.js';
import type { LoggedEvent } from '../events/logged-event.js';
import { encodePosition, foreignPosition, isAfter, type Position, START } from '../events/position.js';
import { IS_REALTIME_GATEWAY } from './realtime-gateway.decorator.js';
import { CATCHING_UP, heardIn, type RoomMessage, Rooms } from './rooms.js';
import { waitingBytes } from './slow-readers.js';

const BATCH = 500;
const MOST_AT_ONCE = 1_000;
const DRAIN_POLL_MS = 10;

export interface Gap {
  gap: true;
  /** The oldest position from which nothing is missing. */
  oldest: string;
}

/** A socket's own memory. */
interface SocketState {
  /** The rooms it is in (see {@link heardIn}), and since which position it has had everything of each. */
  covered: Map<string, Position>;
  /** Joining and leaving take turns. */
  queue: Promise<unknown>;
}

/**
 * Lets sockets into rooms, and first gives them what they missed. While a socket catches up, nothing live reaches it:
 * the log gives it everything, until it is where the tail is. So all comes in order, once, and nothing piles up here.
 */
@Injectable()
export class RoomReplay {
  // After a restart thousands come back at the same moment, most of them with the same position: that is read once.
  private readonly reading = asked((position) => this.log.readAfter(position, BATCH));
  private readonly missing = asked((position) => this.log.missingAfter(position));
  private readonly floor = asked(() => this.log.floor());

  constructor(
    private readonly environment: Environment,
    private readonly log: EventLog,
    private readonly tail: EventTail,
    private readonly handlers: EventHandlers,
    private readonly rooms: Rooms,
  ) {}

  /** The room, and the position up to which the socket now has its events, or the gap that cannot be filled. */
  join(socket: Socket, name: string, since?: Position): Promise<{ room: string; result: Position | Gap }> {
    return this.inTurn(socket, async (state) => {
      const room = await this.rooms.named(name);
      return { room, result: await this.enterSince(socket, state, room, since) };
    });
  }

  leave(socket: Socket, name: string): Promise<string> {
    return this.inTurn(socket, async ({ covered }) => {
      const room = await this.rooms.named(name);
      for (const each of heardIn(room, scopeOf(socket))) {
        covered.delete(each);
        await socket.leave(each);
      }
      return room;
    });
  }

  private async enterSince(
    socket: Socket,
    state: SocketState,
    room: string,
    since: Position | undefined,
  ): Promise<Position | Gap> {
    if (!since) return this.enter(socket, state, room, this.tail.position);
    const oldest = await this.missing(since);
    if (oldest) return { gap: true, oldest: encodePosition(oldest) };
    if (isAfter(since, this.tail.position)) {
      if (isAfter(since, await this.log.frontier())) throw foreignPosition('/since');
      // Another node, from which the position comes, may have been ahead of this one.
      await this.tail.upToDate();
    }
    if (!isAfter(this.tail.position, since)) return this.enter(socket, state, room, this.tail.position);
    return this.catchUp(socket, state, room, since);
  }

  private inTurn<T>(socket: Socket, work: (state: SocketState) => Promise<T>): Promise<T> {
    const data = socket.data as { rooms?: SocketState };
    const state = (data.rooms ??= { covered: new Map(), queue: Promise.resolve() });
    const turn = state.queue.then(() => work(state));
    state.queue = turn.catch(() => undefined);
    return turn;
  }

  private enter(socket: Socket, { covered }: SocketState, room: string, since: Position): Position {
    for (const each of heardIn(room, scopeOf(socket))) {
      const before = covered.get(each);
      covered.set(each, before && isAfter(since, before) ? before : since);
      // A socket that has left would stay in the room for ever.
      if (socket.connected) void socket.join(each);
    }
    return this.tail.position;
  }

  private async catchUp(socket: Socket, state: SocketState, room: string, since: Position): Promise<Position | Gap> {
    const silent_since = this.tail.position;
    void socket.join(CATCHING_UP);
    try {
      let at = since;
      while (socket.connected) {
        const told = this.tail.position;
        const { events } = await this.reading(at);
        // Retention may have overtaken this reader.
        const floor = await this.floor(START);
        if (isAfter(floor, at)) return { gap: true, oldest: encodePosition(floor) };
        for (const event of events) {
          await this.drained(socket);
          // The log is ahead of the tail, which will tell this one, and the room hears it.
          if (isAfter(event, this.tail.position)) return this.enter(socket, state, room, since);
          this.send(socket, state, room, event, silent_since);
          at = event;
        }
        const hasTailMoved = isAfter(this.tail.position, told);
        if (events.length < BATCH && !hasTailMoved) break;
      }
      // Nothing may be awaited since the tail's position was looked at: what it told meanwhile would be lost.
      return this.enter(socket, state, room, since);
    } finally {
      void socket.leave(CATCHING_UP);
    }
  }

  private send(
    socket: Socket,
    { covered }: SocketState,
    room: string,
    event: LoggedEvent,
    silent_since: Position,
  ): void {
    const hasCome = (other: string): boolean => {
      const from = covered.get(other);
      return from !== undefined && isAfter(event, from);
    };
    const isKeptBack = isAfter(event, silent_since);
    const heard = heardIn(room, scopeOf(socket));
    for (const { name, payload, rooms } of this.messagesOf(event)) {
      const isHeard = rooms.some((each) => heard.includes(each));
      const isDue = isKeptBack ? isHeard || rooms.some((each) => covered.has(each)) : isHeard && !rooms.some(hasCome);
      if (isDue) socket.emit(name, payload);
    }
  }

  private messagesOf(event: LoggedEvent): RoomMessage[] {
    return this.rooms.collect(() => {
      for (const { pattern, instance, handle } of this.handlers.live) {
        const isGateway = Reflect.hasMetadata(IS_REALTIME_GATEWAY, instance.constructor);
        if (isGateway && matches(pattern, event.type)) void handle(event);
      }
    });
  }

  /** Waits until the client has read what was sent: a long replay must not pile up in memory. */
  private async drained(socket: Socket): Promise<void> {
    while (socket.connected && waitingBytes(socket) > this.environment.SOCKET_BUFFER_LIMIT_BYTES / 2) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }
}

/** What several sockets ask about the same position at the same time is asked once. */
function asked<Answer>(ask: (position: Position) => Promise<Answer>): (position: Position) => Promise<Answer> {
  type Settled = PromiseSettledResult<Awaited<Answer>>;
  const batch = new Batch<Position, Settled>(
    (positions) => {
      const answers = new Map<string, Promise<Settled>>();
      const answerOf = (position: Position): Promise<Settled> => {
        const key = encodePosition(position);
        // Those who ask about another position have nothing to do with its failure.
        const answer = answers.get(key) ?? Promise.allSettled([ask(position)]).then(([settled]) => settled);
        answers.set(key, answer);
        return answer;
      };
      return Promise.all(positions.map(answerOf));
    },
    { most: MOST_AT_ONCE },
  );
  return async (position) => {
    const settled = await batch.add(position);
    if (settled.status === 'rejected') throw settled.reason;
    return settled.value;
  };
}
