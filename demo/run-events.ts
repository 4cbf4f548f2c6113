import { io, type Socket } from 'socket.io-client';

const ANSWER_WITHIN_MS = 10_000;

/** An event as sockets get it. */
export interface RunEvent {
  type: string;
  data: Record<string, unknown>;
  position: string;
  timestamp: string;
  agent_id: string | null;
  task_id: string | null;
  run_id: string | null;
}

interface Joined {
  position?: string;
  gap?: boolean;
  detail?: string;
}

/** The events of one run, each once and in order, also when the connection breaks on the way. */
export class RunEvents {
  private readonly socket: Socket;
  private room: string | null = null;
  private position: string | null = null;
  private fail: (error: Error) => void = () => undefined;
  /** Rejects when the events cannot be followed. */
  readonly failure = new Promise<never>((_, reject) => (this.fail = reject));

  constructor(url: string) {
    this.failure.catch(() => undefined);
    this.socket = io(url, { transports: ['websocket'], reconnectionDelay: 200, reconnectionDelayMax: 2_000 });
    this.socket.on('connect', () => {
      if (this.room === null) return;
      this.join(this.room).catch((error: Error) => {
        // Away again: the next connection joins.
        if (this.socket.connected) this.fail(error);
      });
    });
    this.socket.on('disconnect', (reason) => {
      // The client does not come back by itself after this one.
      if (reason === 'io server disconnect') this.socket.connect();
    });
  }

  /** Where the log is now. What happens from here on can be followed later. */
  async markPosition(): Promise<void> {
    const { position } = await this.ask('join_room', { room: 'workflows' });
    this.position = position ?? null;
    await this.ask('leave_room', { room: 'workflows' });
  }

  /** Hears everything about the run since the marked position. */
  async follow(runId: string, listener: (event: RunEvent) => void): Promise<void> {
    this.room = `run:${runId}`;
    this.socket.onAny((_name: string, event: RunEvent) => {
      if (event.run_id !== runId) return;
      this.position = event.position;
      listener(event);
    });
    await this.join(this.room);
  }

  close(): void {
    this.room = null;
    this.socket.disconnect();
  }

  private async join(room: string): Promise<void> {
    const { gap } = await this.ask('join_room', { room, since: this.position ?? undefined });
    if (gap) throw new Error('Some events of the run are gone: the position is too old');
  }

  private async ask(message: string, payload: object): Promise<Joined> {
    const answer = (await this.socket.timeout(ANSWER_WITHIN_MS).emitWithAck(message, payload)) as Joined;
    if (answer.position === undefined && !answer.gap) throw new Error(`${message}: ${answer.detail ?? 'no answer'}`);
    return answer;
  }
}
