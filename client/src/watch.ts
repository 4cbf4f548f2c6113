import { io, type Socket } from 'socket.io-client';
import { Backoff } from './backoff.js';
import { comparePositions, Cursor } from './position.js';

const RECONNECT_AFTER_MS = 200;
const RECONNECT_AT_MOST_AFTER_MS = 5_000;

/** Something that happened, as rooms hear it. */
export interface FlightdeckEvent {
  type: string;
  data: Record<string, unknown>;
  /** Where it is in the log; another watch goes on after it with `since`. */
  position: string;
  timestamp: string;
  project_id: string | null;
  agent_id: string | null;
  task_id: string | null;
  workflow_id: string | null;
  run_id: string | null;
}

/** Events that the server does not have any more: all before `oldest`. */
export interface Gap {
  room: string;
  oldest: string;
}

export interface WatchOptions {
  /** The position after which it begins; without it, now. */
  since?: string;
  onEvent: (event: FlightdeckEvent) => void;
  /** Events are missing, as `since` is too old or the break was too long. The watch goes on with the oldest there are. */
  onGap?: (gap: Gap) => void;
  /** A trouble on the way: no connection, or what `onEvent` threw. The watch goes on. */
  onError?: (error: Error) => void;
}

/** Every event of the rooms once and in the order of the log, also across broken connections and restarts. */
export interface Watch {
  /** Resolves when all rooms are joined and what `since` missed has come. Rejects when the server refuses a room. */
  readonly ready: Promise<void>;
  /** Resolves after {@link close}; rejects when the server refuses a room, or the token. */
  readonly closed: Promise<void>;
  /** The position of the newest event. */
  readonly position: string | undefined;
  /** No event comes after this. */
  close(): void;
}

export const openWatch = (
  server: { url: string; token?: string },
  rooms: readonly string[],
  options: WatchOptions,
): Watch => new RoomWatch(server, rooms, options);

interface Answer {
  position?: string;
  gap?: boolean;
  oldest?: string;
  status?: number;
  detail?: string;
}

/** The server's no: another try would get it as well. */
class Refusal extends Error {}

class RoomWatch implements Watch {
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  private readonly socket: Socket;
  private readonly cursor: Cursor;
  private readonly backoff = new Backoff(RECONNECT_AFTER_MS, RECONNECT_AT_MOST_AFTER_MS);
  /** What comes while several rooms catch up, which is not in the order of the log. */
  private kept: FlightdeckEvent[] | null = null;
  private hasHeard = false;
  private isClosed = false;
  private settleReady!: PromiseWithResolvers;
  private settleClosed!: PromiseWithResolvers;

  constructor(
    { url, token }: { url: string; token?: string },
    private readonly rooms: readonly string[],
    private readonly options: WatchOptions,
  ) {
    this.cursor = new Cursor(options.since);
    this.ready = new Promise((resolve, reject) => (this.settleReady = { resolve, reject }));
    this.closed = new Promise((resolve, reject) => (this.settleClosed = { resolve, reject }));
    for (const promise of [this.ready, this.closed]) promise.catch(() => undefined);

    this.socket = io(url, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: RECONNECT_AFTER_MS,
      reconnectionDelayMax: RECONNECT_AT_MOST_AFTER_MS,
      randomizationFactor: 1,
      ...(token !== undefined && { auth: { token } }),
    });
    this.socket.on('connect', () => void this.catchUp());
    this.socket.on('connect_error', (error: Error & { data?: Answer }) => {
      const { status, detail = error.message } = error.data ?? {};
      if (status === 401 || status === 403) this.fail(new Refusal(`The watch is refused: ${detail}`));
      else options.onError?.(error);
    });
    this.socket.on('disconnect', (reason) => {
      this.kept = null;
      // After this one the socket does not come back by itself.
      if (reason === 'io server disconnect') void this.reconnect();
    });
    this.socket.onAny((_name: string, event: unknown) => {
      if (isEvent(event)) this.hear(event);
    });
  }

  get position(): string | undefined {
    return this.cursor.position;
  }

  close(): void {
    this.isClosed = true;
    this.socket.disconnect();
    this.settleReady.reject(new Error('The watch was closed before it was ready'));
    this.settleClosed.resolve();
  }

  /** Joins all rooms from where the watch is. */
  private async catchUp(): Promise<void> {
    const { id } = this.socket;
    const isOver = () => this.isClosed || this.socket.id !== id;
    this.hasHeard = false;
    this.kept = this.rooms.length > 1 ? [] : null;
    try {
      let since = this.cursor.since;
      let start: string | undefined;
      for (const room of this.rooms) {
        const joined = await this.join(room, since, isOver);
        since = joined.since;
        start ??= joined.position;
      }
      if (isOver()) return;
      this.tellKept();
      if (start !== undefined) {
        if (this.hasHeard) this.cursor.beginAt(start);
        else this.cursor.moveTo(start);
      }
      this.backoff.reset();
      this.settleReady.resolve();
    } catch (error) {
      if (isOver()) return;
      if (error instanceof Refusal) return this.fail(error);
      this.options.onError?.(error as Error);
      this.socket.disconnect();
      await this.reconnect();
    }
  }

  /** Until when the room's events have come, and since when. */
  private async join(
    room: string,
    since: string | undefined,
    isOver: () => boolean,
  ): Promise<{ position: string; since: string }> {
    for (;;) {
      // Without a time limit: the answer comes after all that was missed. A broken connection rejects it.
      const message = { room, ...(since !== undefined && { since }) };
      const answer = (await this.socket.emitWithAck('join_room', message)) as Answer;
      if (isOver()) throw new Error('The connection was lost while joining');
      const { position, gap, oldest, status = 500, detail } = answer;
      if (position !== undefined) return { position, since: since ?? position };
      if (gap && oldest !== undefined) {
        this.options.onGap?.({ room, oldest });
        since = oldest;
      } else if (status === 429 || status >= 500) {
        await this.backoff.pause();
        if (isOver()) throw new Error('The connection was lost while joining');
      } else {
        throw new Refusal(`The room ${room} cannot be joined: ${detail ?? `status ${status}`}`);
      }
    }
  }

  private hear(event: FlightdeckEvent): void {
    if (this.isClosed) return;
    if (this.kept) this.kept.push(event);
    else this.tell(event);
  }

  private tellKept(): void {
    const events = this.kept ?? [];
    this.kept = null;
    for (const event of events.sort((a, b) => comparePositions(a.position, b.position))) this.tell(event);
  }

  private tell(event: FlightdeckEvent): void {
    this.hasHeard = true;
    if (this.isClosed || !this.cursor.isNew(event)) return;
    try {
      this.options.onEvent(event);
    } catch (error) {
      this.options.onError?.(error as Error);
    }
  }

  private async reconnect(): Promise<void> {
    await this.backoff.pause();
    if (!this.isClosed) this.socket.connect();
  }

  private fail(error: Error): void {
    this.isClosed = true;
    this.socket.disconnect();
    this.settleReady.reject(error);
    this.settleClosed.reject(error);
  }
}

interface PromiseWithResolvers {
  resolve: () => void;
  reject: (error: Error) => void;
}

const isEvent = (value: unknown): value is FlightdeckEvent =>
  typeof value === 'object' && value !== null && 'position' in value && 'type' in value;
