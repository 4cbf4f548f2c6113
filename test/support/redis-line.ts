import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A line to a Redis that can be silent or cut, for one server alone. */
export class RedisLine {
  private readonly sockets = new Set<Socket>();
  private isSilent = false;

  private constructor(
    private readonly target: URL,
    private readonly server: Server,
  ) {
    server.on('connection', (client: Socket) => this.forward(client));
  }

  static async to(url: string): Promise<RedisLine> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RedisLine(new URL(url), server);
  }

  get url(): string {
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((this.server.address() as { port: number }).port);
    return url.href;
  }

  /** Takes what is said, and answers nothing: also on new connections. */
  fallSilent(): void {
    this.isSilent = true;
  }

  /** Connections that had been silent end: what was said is lost. */
  speakAgain(): void {
    this.isSilent = false;
    this.cut();
  }

  async close(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private forward(client: Socket): void {
    const redis = connect(Number(this.target.port || 6379), this.target.hostname);
    for (const [socket, other] of [
      [client, redis],
      [redis, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        if (!this.isSilent) other.write(chunk);
      });
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
