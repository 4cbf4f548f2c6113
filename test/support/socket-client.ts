import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { eventually } from './eventually.js';

export interface Received {
  name: string;
  // oxlint-disable-next-line typescript/no-explicit-any
  payload: any;
}

const ANSWER_MS = 25_000;

/** A client as a dashboard has it, which notes all that it receives. */
export class SocketClient {
  readonly received: Received[] = [];
  /** Why the connection ended, once it has. */
  disconnected: string | null = null;

  private constructor(readonly socket: Socket) {
    socket.onAny((name: string, payload: unknown) => this.received.push({ name, payload }));
    socket.on('disconnect', (reason) => {
      this.disconnected = reason;
    });
  }

  /** Rejects when the server refuses the connection. */
  static connect(url: string, options: Partial<ManagerOptions & SocketOptions> = {}): Promise<SocketClient> {
    const socket = io(url, { transports: ['websocket'], reconnection: false, forceNew: true, ...options });
    const client = new SocketClient(socket);
    return new Promise((resolve, reject) => {
      socket.once('connect', () => resolve(client));
      socket.once('connect_error', (error) => {
        socket.close();
        reject(error);
      });
    });
  }

  /** Sends a message and waits for its answer. */
  // oxlint-disable-next-line typescript/no-explicit-any
  send(message: string, payload?: unknown): Promise<any> {
    return this.socket.timeout(ANSWER_MS).emitWithAck(message, payload);
  }

  join(room: string, since?: string) {
    return this.send('join_room', { room, ...(since !== undefined && { since }) });
  }

  leave(room: string) {
    return this.send('leave_room', { room });
  }

  /** What came under a name, in the order in which it came. */
  // oxlint-disable-next-line typescript/no-explicit-any
  payloads(name: string): any[] {
    return this.received.filter((one) => one.name === name).map(({ payload }) => payload);
  }

  /** After this, everything that the server sent before has come. */
  async settle(): Promise<void> {
    await this.send('ping');
  }

  untilDisconnected(timeout_ms = 10_000): Promise<string> {
    return eventually(() => {
      if (this.disconnected === null) throw new Error('It is still connected');
      return this.disconnected;
    }, timeout_ms);
  }

  /** Stops reading from the network, as a client does that hangs. */
  stopReading(): void {
    const { transport } = this.socket.io.engine as unknown as { transport: { ws: { _socket: { pause(): void } } } };
    transport.ws._socket.pause();
  }

  close(): void {
    this.socket.close();
  }
}
