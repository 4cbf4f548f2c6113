import { setTimeout as sleep } from 'node:timers/promises';
import { type Listener, RawSocket } from './raw-socket.js';

/** So many connect at a time, where they do not all connect at once. */
const CONNECTING = 100;

/** Many sockets in one room, and how many messages they got. */
export class Crowd {
  /** Why connections were refused or lost. */
  readonly losses: string[] = [];
  received = 0;
  /** Of the newest message, or of joining. */
  position: string | undefined;
  private joined = 0;
  private sockets: RawSocket[] = [];

  constructor(
    private readonly url: string,
    readonly size: number,
    private readonly room: string,
  ) {}

  async connectGently(): Promise<void> {
    for (let count = 0; count < this.size; count += CONNECTING) {
      for (let index = count; index < Math.min(this.size, count + CONNECTING); index++) this.connectOne();
      await this.until(() => this.joined + this.losses.length === this.sockets.length);
    }
  }

  /** All at once, from where they left off. */
  async reconnect(): Promise<void> {
    for (let index = 0; index < this.size; index++) this.connectOne(this.position);
    await this.until(() => this.joined + this.losses.length === this.size);
  }

  /** All at once, without a word. */
  disconnect(): void {
    for (const socket of this.sockets.splice(0)) socket.close();
    this.joined = 0;
  }

  /** Until each socket that is there got so many messages since the counter stood at `before`. */
  untilReceived(each: number, before: number): Promise<void> {
    return this.until(() => this.received - before >= each * this.joined);
  }

  private connectOne(since?: string): void {
    const isFirst = this.sockets.length === 0;
    const listener: Listener = {
      onJoined: (answer) => {
        this.joined++;
        if (isFirst) this.position ??= positionIn(answer);
      },
      onEvent: (text) => {
        this.received++;
        if (isFirst) this.position = positionIn(text.toString());
      },
      onLost: (reason) => this.losses.push(reason),
    };
    const join = { room: this.room, ...(since !== undefined && { since }) };
    this.sockets.push(new RawSocket(this.url, join, listener));
  }

  private async until(isDone: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isDone()) {
      if (performance.now() > deadline) {
        throw new Error(`${this.joined} of ${this.size} sockets are there, with ${this.received} messages`);
      }
      await sleep(5);
    }
  }
}

const PATIENCE_MS = 60_000;

function positionIn(text: string): string {
  const [, position] = /"position":"([^"]+)"/.exec(text) ?? [];
  if (!position) throw new Error(`No position: ${text}`);
  return position;
}
